"""A dialog closes, and tells why, once what it asks about is over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from textual import work
from textual.app import App
from textual.pilot import Pilot

from backends.local_machine import SystemClock
from console.tui.screens.confirmations import (
    LockAnswer,
    confirm_break_lock,
    confirm_override_freeze,
    confirm_take_over,
)
from orchestrator.locks.file import FileLock, Holder
from orchestrator.planning.application import Freeze
from orchestrator.remote.rollout import RolloutSubscriber
from orchestrator.session.takeover import find_offer
from tests.console.dialog_values import ended, open_dialog
from tests.console.frozen_console import CALM
from tests.console.frozen_rollout import FrozenRollout
from tests.console.real_console import read
from tests.support import forged
from tests.unit.test_forged import Desk, OneKey
from widgets.dialogs.modal import Confirm, QuitDialog


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


def _holder(name: str) -> Holder:
    return Holder(operator=f"{name}@there", host="elsewhere", pid=1, since=0.0, what="upgrade to 1.4.9")


class Asking(App[None]):
    """A console that asks one question, and keeps the answer."""

    def __init__(self, ask: Callable[[App[None]], Awaitable[object]]) -> None:
        super().__init__()
        self._ask = ask
        self.answers: list[object] = []

    @work
    async def on_mount(self) -> None:
        self.answers.append(await self._ask(self))


class Clock(SystemClock):
    """A clock whose time of day stands still."""

    now = datetime(2026, 12, 24, 12, tzinfo=UTC).timestamp()

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("what", ["lock", "another lock", "freeze", "takeover"])
async def test_what_others_end_is_asked_no_longer(tmp_path: Path, what: str) -> None:
    desk: Any = Desk(tmp_path / "journal.db")
    freeze = {"from": datetime(2026, 12, 24), "to": datetime(2026, 12, 27), "timezone": "UTC"}  # noqa: DTZ001
    freezes = (msgspec.convert({"reason": "holidays", **freeze}, Freeze),)
    desk.application, desk.clock, consul = SimpleNamespace(name="shop", freezes=freezes), Clock(), OneKey()
    consul.value = forged.packed(forged.publication())
    desk.published = RolloutSubscriber(cast("Any", consul), "rolldeck", "shop")
    lock, holder = FileLock.of(tmp_path, "shop"), _holder("ann")
    ask: dict[str, tuple[Callable[[App[None]], Awaitable[object]], object, str]] = {
        "freeze": (lambda app: confirm_override_freeze(app, desk), None, "is over"),
        "takeover": (lambda app: confirm_take_over(app, desk, offer), False, "works on that rollout"),
    }
    offer: Any = await find_offer(desk)
    if "lock" in what:
        await lock.acquire(holder)
    locked = LockAnswer(proceed=False, locked_by=holder)
    said = "the lock" if what == "another lock" else "is free now"  # it was free for a moment
    question, answer, why = ask.get(what, (lambda app: confirm_break_lock(app, desk), locked, said))
    app = Asking(question)
    async with app.run_test(notifications=True) as pilot:
        await _until(pilot, lambda: isinstance(app.screen, Confirm))
        match what:
            case "freeze":
                desk.clock.now += 4 * 86_400
            case "takeover":
                await lock.acquire(holder)
            case _:
                await lock.release()
        if what == "another lock":
            await lock.acquire(_holder("bob"))
        await _until(pilot, lambda: app.answers == [answer])
        [told] = [notification.message for notification in app._notifications]
        assert why in told
    await lock.release()


async def _until(pilot: Pilot[Any], is_true: Callable[[], object]) -> None:
    for _ in range(600):
        if is_true():
            return
        await pilot.pause(0.05)
    raise AssertionError(read(pilot.app.screen))
