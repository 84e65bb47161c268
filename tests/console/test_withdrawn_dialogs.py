"""A dialog closes, and tells why, once what it asks about is over."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.console.dialog_values import ended, open_dialog
from tests.console.frozen_console import CALM
from tests.console.frozen_rollout import FrozenRollout
from tests.console.real_console import read
from widgets.dialogs.modal import QuitDialog


async def test_a_dialog_closes_as_escape_closes_it_and_says_why() -> None:
    reasons: list[str] = []
    asked = QuitDialog().withdraw_when(lambda: reasons[0] if reasons else "")
    async with open_dialog(asked) as (app, pilot):
        await pilot.pause(0.7)
        assert app.screen is asked
        reasons.append("the rollout has ended [/b] meanwhile")
        async with asyncio.timeout(20):
            while app.answers != ["stay"]:
                await pilot.pause(0.05)
        assert [notification.message for notification in app._notifications] == reasons


@pytest.fixture
def rollout() -> FrozenRollout:
    """A rollout that works on its first node."""
    return FrozenRollout(CALM).batch("web1").step("web1", "drain")


@pytest.mark.parametrize("key", ["q", "a", "n"])
async def test_what_is_asked_about_a_rollout_goes_with_it(rollout: FrozenRollout, key: str) -> None:
    title = {"q": "A rollout is running: quit?", "a": "Abort the rollout?", "n": "Wait no longer?"}[key]
    app = rollout.console()

    def said() -> list[str]:
        return [notification.message for notification in app._notifications]

    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        await pilot.press(key)
        await _until(pilot, lambda: title in read(app.screen))
        asked = app.screen
        rollout.ends(ended(upgraded=[], pending=["web1"]))
        await _until(pilot, lambda: "the rollout has ended meanwhile" in said())
        await pilot.press("escape")
        await _until(pilot, lambda: asked not in app.screen_stack)
        assert app.return_value is None


async def _until(pilot: Pilot[Any], is_true: Callable[[], object]) -> None:
    for _ in range(600):
        if is_true():
            return
        await pilot.pause(0.05)
    raise AssertionError(read(pilot.app.screen))
