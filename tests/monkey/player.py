"""Plays actions to a console, and finds out whether it is still alive."""

import asyncio
import time
from typing import Any

from textual import events
from textual.app import App
from textual.keys import key_to_character
from textual.pilot import Pilot

from console.tui.screens.help import HelpScreen
from tests.monkey.actions import Action, Keys, Mouse, Paste, Resize, Start, typed
from widgets.dialogs.modal import TooSmall, fits

MAX_ESCAPES = 15  # from anywhere to the screen that the console began with
ANSWERS_WITHIN_S = 60.0  # on a busy machine


class DeadScreen(AssertionError):
    """The console does not answer any more, or shows what no key leads away from."""


class Player:
    """Plays to one console until that ends.

    Args:
        pilot: of the console.
        depth: how many screens there are at least: those that no key may close.
    """

    def __init__(self, pilot: Pilot[Any], depth: int) -> None:
        self._pilot = pilot
        self._depth = depth
        self.size = (80, 24)

    @property
    def app(self) -> App[Any]:
        return self._pilot.app

    @property
    def has_ended(self) -> bool:
        """Whether the console was told to end, or ended with an error."""
        return self.app.return_value is not None or not self.app.is_running

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
            case Start(version, confirm):
                await self._start(version, confirm)
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

    async def _start(self, version: str, confirm: int) -> None:
        """Press the keys of an upgrade, whatever comes of it."""
        await self.go_back()
        for keys, pause_s in (
            (("u",), 0.3),
            ((*typed(version), "enter") if not confirm else typed(version), 0.0),
            (("tab", "tab", "tab", *["down"] * confirm, "enter") if confirm else (), 1.0),
            (("right", "enter"), 0.2),
        ):
            for key in keys:
                self._press(key)
                await asyncio.sleep(0.02)
            await asyncio.sleep(pause_s)

    async def check(self) -> None:
        """Go back to the first screen, and open and close the help there. DeadScreen if that fails."""
        await self.go_back()
        if self.has_ended:
            return
        self._press("f1")
        await self._until(lambda: isinstance(self.app.screen, HelpScreen), "the help does not open")
        await self.go_back()  # a plan that was being made may have opened meanwhile

    async def go_back(self) -> None:
        """Press Escape until only the first screen is there."""
        if not fits(self.app.size):
            await self.play(Resize(80, 24))
        for _ in range(MAX_ESCAPES):
            await self._settle()
            if self.has_ended or self._is_back():
                return
            if isinstance(self.app.screen, TooSmall):
                await self.play(Resize(80, 24))
            self._press("escape")
        raise DeadScreen(f"Escape does not lead back from {self.app.screen_stack}")

    def _is_back(self) -> bool:
        stack = self.app.screen_stack
        if len(stack) < self._depth:
            raise DeadScreen(f"a screen that must stay was closed: {stack}")
        return len(stack) == self._depth

    async def _settle(self) -> None:
        """Wait until everything that was sent before has been handled."""
        handled = asyncio.Event()
        self.app.call_later(handled.set)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                while not handled.is_set() and not self.has_ended:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise DeadScreen(f"no answer within {ANSWERS_WITHIN_S:g} s: {self.app.screen_stack}") from None
        await asyncio.sleep(0.05)

    async def _until(self, is_true: Any, problem: str) -> None:
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while not is_true() and not self.has_ended:
            if time.monotonic() > deadline:
                raise DeadScreen(f"{problem}: {self.app.screen_stack}")
            await asyncio.sleep(0.02)
