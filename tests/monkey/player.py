"""Plays actions to a console, and finds out whether it is still alive."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual import events
from textual.keys import key_to_character
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.screen import Screen

from console.tui.app import Console
from console.tui.screens.help import HelpScreen
from console.tui.screens.main import MainScreen
from tests.monkey.actions import Action, Keys, Mouse, Paste, Resize, Start, typed
from widgets.dialogs.modal import TooSmall, fits
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.upgrade import UpgradeDialog
from widgets.fleet.picker import ApplicationPicker

DEPTH = 2  # screens that no key may close: Textual's blank one, and the console's first
MAX_ESCAPES = 15  # without that any screen closes
ANSWERS_WITHIN_S = 60.0  # on a busy machine
OPENS_WITHIN_S = 10.0  # a screen on the way to an upgrade; the console may refuse it


class DeadScreen(AssertionError):
    """The console does not answer any more, or shows what no key leads away from."""


class Player:
    """Plays to one console until that ends.

    Args:
        pilot: of the console.
    """

    def __init__(self, pilot: Pilot[Any]) -> None:
        self._pilot = pilot
        self.size = (80, 24)

    @property
    def app(self) -> Console:
        app = self._pilot.app
        assert isinstance(app, Console)
        return app

    @property
    def has_ended(self) -> bool:
        """Whether the console was told to end, or ended with an error."""
        return self.app.return_value is not None or not self.app.is_running

    async def end(self) -> None:
        """End the console as a signal does, and wait until it has ended. DeadScreen if it does not."""
        if not self.has_ended:
            self.app.exit()
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while self.app.is_running:
            if time.monotonic() > deadline:
                raise DeadScreen(f"the console does not end: {self.app.screen_stack}")
            await asyncio.sleep(0.02)

    @property
    def bound(self) -> set[str]:
        """The keys that the screen in front has bindings for."""
        return set(self.app.screen.active_bindings)

    async def play(self, action: Action) -> None:
        """Do what the action says; the console has not reacted to all of it then."""
        match action:
            case Keys(keys, together):
                for key in keys:
                    self._press(key)
                    if not together:
                        await asyncio.sleep(0.005)
            case Paste(text):
                self.app.post_message(events.Paste(text))
            case Resize(width, height):
                self.size = (width, height)
                await self._pilot.resize_terminal(width, height)
            case Mouse(what, x, y):
                self._use_mouse(what, x, y)
            case Start():
                await self._start(action)
        await asyncio.sleep(0.005)

    def _press(self, key: str) -> None:
        self.app.post_message(events.Key(key, key_to_character(key)))

    def _use_mouse(self, what: str, x: int, y: int) -> None:
        kinds: dict[str, tuple[type[events.MouseEvent], ...]] = {
            "click": (events.MouseDown, events.MouseUp),
            "double": (events.MouseDown, events.MouseUp) * 2,
            "move": (events.MouseMove,),
            "up": (events.MouseScrollUp,),
            "down": (events.MouseScrollDown,),
        }
        for kind in kinds[what]:
            button = 1 if kind in (events.MouseDown, events.MouseUp) else 0
            self.app.post_message(kind(None, x, y, 0, 0, button, False, False, False, x, y))

    async def _start(self, start: Start) -> None:
        """Press the keys of an upgrade, as far as the console comes along."""
        await self.go_back()
        if start.application:
            await self._press_all("g")
            if not await self._opens(ApplicationPicker):
                return
            await self._press_all(*typed(start.application), "enter")
        await self._opens(MainScreen)
        upgrade = self.app.screen.active_bindings.get("u")
        if upgrade is None or not upgrade.enabled:
            return
        await self._press_all("u")
        if not await self._opens(UpgradeDialog):
            return
        await self._press_all(*typed(start.version))
        if start.confirm:
            await self._press_all("tab", "tab", "tab", *["down"] * start.confirm)
        await self._press_all("enter")
        if await self._opens(PlanScreen):
            await self._press_all("right", "enter")

    async def _press_all(self, *keys: str) -> None:
        for key in keys:
            self._press(key)
            await asyncio.sleep(0.02)

    async def _opens(self, kind: type[Screen[Any]]) -> bool:
        """Wait for a while until such a screen takes keys; it need not open."""
        deadline = time.monotonic() + OPENS_WITHIN_S
        while not self.has_ended and time.monotonic() < deadline:
            if isinstance(self.app.screen, kind) and self.app.screen.focused is not None:
                return True
            await asyncio.sleep(0.02)
        return False

    async def check(self) -> None:
        """Go back to the first screen, and open and close the help there. DeadScreen if that fails."""
        await self.go_back()
        if self.has_ended:
            return
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while not isinstance(self.app.screen, HelpScreen) and not self.has_ended:
            if time.monotonic() > deadline:
                raise DeadScreen(f"the help does not open: {self.app.screen_stack}, {self.app.focused}")
            self._press("f1")  # again, where what the last actions have opened has taken it
            await self._settle()
        await self.go_back()  # a plan that was being made may have opened meanwhile

    async def go_back(self) -> None:
        """Press Escape until only the first screen is there."""
        if not fits(self.app.size):
            await self.play(Resize(80, 24))
        escapes, depth = 0, 0
        while escapes < MAX_ESCAPES:
            await self._settle()
            if self.has_ended or self._is_back():
                return
            if isinstance(self.app.screen, TooSmall):
                await self.play(Resize(80, 24))
            self._press("escape")
            before, depth = depth, len(self.app.screen_stack)
            escapes = escapes + 1 if depth >= before else 0  # help and palette may lie over each other
        raise DeadScreen(f"Escape does not lead back from {self.app.screen_stack}")

    def _is_back(self) -> bool:
        stack = self.app.screen_stack
        if len(stack) < DEPTH:
            raise DeadScreen(f"a screen that must stay was closed: {stack}")
        return len(stack) == DEPTH

    async def _settle(self) -> None:
        """Wait until everything that was sent before has been handled.

        Keys go from the console, which holds back those that arrive together, to what has the focus, and from
        there up to the console again.
        """
        await self._drain(self.app)
        await self._wait(lambda: self.app._keys._check is None, "keys are held back")
        focused = self.app.focused
        for node in (*(focused.ancestors_with_self if focused else ()), self.app):
            await self._drain(node)
        await asyncio.sleep(0.05)

    async def _drain(self, node: MessagePump) -> None:
        """Wait until a node has handled what was sent to it. DeadScreen if it does not."""
        handled = asyncio.Event()
        node.call_later(handled.set)
        await self._wait(lambda: handled.is_set() or not node.is_running, f"no answer of {node}")

    async def _wait(self, is_over: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while not is_over() and not self.has_ended:
            if time.monotonic() > deadline:
                raise DeadScreen(f"{problem} for {ANSWERS_WITHIN_S:g} s: {self.app.screen_stack}")
            await asyncio.sleep(0.005)
