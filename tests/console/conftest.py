"""Fixtures for snapshots of the console: an environment that is the same everywhere, and a comparison."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Protocol

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from console.tui.screens.main import POLL_INTERVAL_S
from tests.console.frozen_console import EPOCH, TIME_OF_DAY
from tests.console.real_console import read

Act = str | Callable[[Pilot[str]], Awaitable[None]]
"""A key, or something else that is done or waited for."""

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50), "no-color": (80, 24)}
wide = pytest.mark.parametrize("shape", ["80x24", "120x40", "200x50", "no-color"], indirect=True)
"""For what is laid out in another way on a wide terminal."""
sizes = pytest.mark.parametrize("shape", ["80x24", "120x40"], indirect=True)
"""For what has no colors that mean anything."""
small = pytest.mark.parametrize("shape", ["80x24", "no-color"], indirect=True)
"""For what looks the same on a larger terminal."""
SEEN_WITHIN_S = 20.0  # seconds that something may take to be seen


class SnapshotCheck(Protocol):
    """Whether the console looks as it did; `--snapshot-update` makes what it shows now the rule."""

    def __call__(self, make: Callable[[], App[str]], *acts: Act) -> bool: ...


@pytest.fixture(params=["80x24", "120x40", "no-color"])
def shape(request: pytest.FixtureRequest) -> str:
    """In which terminal."""
    return str(request.param)


@pytest.fixture
def frozen_environment(shape: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing on the screen may depend on the machine, its user, its settings or the time."""
    for name in ("NO_COLOR", "COLORTERM", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    if shape == "no-color":
        monkeypatch.setenv("NO_COLOR", "1")
    # The plugin sets it as older versions of Syrupy called it.
    monkeypatch.setattr("pytest_textual_snapshot.SVGImageExtension.file_extension", "svg")
    monkeypatch.setenv("SUDO_USER", "ann")
    monkeypatch.setattr(socket, "gethostname", lambda: "bastion")
    still = SimpleNamespace(time=lambda: EPOCH, strftime=lambda _: TIME_OF_DAY)
    monkeypatch.setattr("console.tui.screens.main.time", still)
    monkeypatch.setattr("console.tui.screens.detail.time", still)
    monkeypatch.setattr("console.tui.screens.fleet.time", still)
    monkeypatch.setattr("widgets.rollout_board.monotonic", lambda: 0.0)
    # The picture is taken once nothing has changed for a moment, which is shorter than this.
    monkeypatch.setattr("widgets.panes.events_pane.REDRAW_S", 0.0)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def matches_snapshot(
    frozen_environment: None, shape: str, snap_compare: Callable[..., bool]
) -> SnapshotCheck:
    """Return what compares one screen with its snapshot."""

    def compare(make: Callable[[], App[str]], *acts: Act) -> bool:
        async def act(pilot: Pilot[str]) -> None:
            for act in acts:
                if isinstance(act, str):
                    await pilot.press(act)
                else:
                    await act(pilot)
            for field in pilot.app.screen.query(Input):
                field.cursor_blink = False
            await _wait_until_still(pilot)

        return snap_compare(make(), terminal_size=SIZES[shape], run_before=act)

    return compare


async def _wait_until_still(pilot: Pilot[str]) -> None:
    """Wait until two looks show the same."""
    before = ""
    while before != (now := read(pilot.app.screen)):
        before = now
        await pilot.pause(1.5 * POLL_INTERVAL_S)


def sees(*words: str) -> Act:
    """Wait until the screen in front says all of this."""

    async def wait(pilot: Pilot[str]) -> None:
        deadline = time.monotonic() + SEEN_WITHIN_S
        while not all(text in read(pilot.app.screen) for text in words):
            assert time.monotonic() < deadline, f"never saw {words} in:\n{read(pilot.app.screen)}"
            await asyncio.sleep(0.01)

    return wait


def types(text: str) -> Act:
    """A key for each character."""

    async def press(pilot: Pilot[str]) -> None:
        await pilot.press(
            *({".": "full_stop", " ": "space", "-": "minus"}.get(character, character) for character in text)
        )

    return press


async def silence(pilot: Pilot[str]) -> None:
    """Take away what is said only for a moment: it would go while the picture is taken."""
    pilot.app.clear_notifications()
