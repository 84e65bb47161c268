"""Commands of the operator's own, by their keys: the question, the output, and read-only consoles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from backends.errors import ConfigError
from console.config.own_commands import OwnCommandSettings
from console.tui.screens.command_output import CommandOutput
from tests.console.conftest import sees
from tests.console.frozen_console import TROUBLED, FrozenConsole, session_of

LOOK = {
    "key": "f5",
    "title": "look",
    "run": "echo {node} of {app} [/red]; echo 'a\x1b[2J'",
    "read_only": True,
}
WRITE = {"key": "D", "title": "write", "run": "exit 4", "show": "none"}
SLOW = {"key": "f6", "title": "slow", "run": "echo begun; exec sleep 1000", "read_only": True}


async def see(pilot: Pilot[str], *words: str) -> None:
    act = sees(*words)
    assert callable(act)
    await act(pilot)


@asynccontextmanager
async def console(folder: Path, *commands: dict[str, Any], read_only: str = "") -> AsyncIterator[Pilot[str]]:
    session = session_of(TROUBLED)
    session.work_log._path = folder / "journal.db"
    app = FrozenConsole(TROUBLED, session, read_only=read_only)
    app.add_commands(msgspec.convert(list(commands), list[OwnCommandSettings]), "config.toml")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await see(pilot, "web1")
        await pilot.press("o", "home")  # by node
        yield pilot


async def test_its_output_is_in_a_pane_and_harmless(tmp_path: Path) -> None:
    async with console(tmp_path, LOOK) as pilot:
        await pilot.press("f5")
        await see(pilot, "! web1: echo web1 of shop", "web1 of shop [/red]", "done in", "has ended")
        await see(pilot, r"a\x1b[2J")
        await pilot.press("escape")
        await see(pilot, "u upgrade")


async def test_it_asks_and_the_safe_answer_has_the_focus(tmp_path: Path) -> None:
    async with console(tmp_path, WRITE) as pilot:
        await pilot.press("D")
        await see(pilot, "write: web1", "On this machine: exit 4", "Cancel")
        await pilot.press("enter")
        await see(pilot, "u upgrade")
        await pilot.press("D")
        await see(pilot, "write: web1")
        await pilot.press("right", "enter")
        await see(pilot, "web1: write: exit status 4")


async def test_closing_the_pane_ends_it(tmp_path: Path) -> None:
    async with console(tmp_path, SLOW) as pilot:
        await pilot.press("f6")
        await see(pilot, "begun", "runs")
        screen = pilot.app.screen
        assert isinstance(screen, CommandOutput)
        await pilot.press("escape")
        await see(pilot, "u upgrade")
        await pilot.pause()
        assert not [worker for worker in pilot.app.workers if worker.group == "own-command"]


async def test_a_read_only_console_runs_only_what_changes_nothing(tmp_path: Path) -> None:
    async with console(tmp_path, LOOK, WRITE, read_only="--read-only was given") as pilot:
        await pilot.press("D")
        await pilot.pause()
        assert pilot.app.check_action("own_command", (1,)) is None
        await pilot.press("f5")
        await see(pilot, "web1 of shop [/red]")


async def test_it_is_in_the_palette_with_every_node(tmp_path: Path) -> None:
    async with console(tmp_path, LOOK) as pilot:
        await pilot.press("ctrl+p", *"web3 look")
        await see(pilot, "web3 look", "of {app} [/red]")
        await pilot.press("enter", "enter")
        await see(pilot, "web3 of shop [/red]")


async def test_what_cannot_be_recorded_is_not_run(tmp_path: Path) -> None:
    async with console(Path("/proc/nonexistent"), LOOK) as pilot:
        await pilot.press("f5")
        await see(pilot, "journal ", "has ended")


def test_a_key_that_is_taken_is_refused() -> None:
    app = FrozenConsole(TROUBLED)
    with pytest.raises(ConfigError, match="ctrl\\+p is the key of"):
        app.add_commands([msgspec.convert(LOOK | {"key": "ctrl+p"}, OwnCommandSettings)], "config.toml")
