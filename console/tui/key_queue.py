"""Keys that arrive together, as over a slow connection, are handled one after the other."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode

CHECK_INTERVAL_S = 0.1  # how often it is seen whether a widget was closed before it has handled a key
MAX_HELD_S = 5.0  # behind one key: a widget that is stuck must not keep the console from being closed


class KeyQueue:
    """Holds keys back until the one before them has had its effect, for `MAX_HELD_S` at most.

    Textual gives a key to what has the focus when it arrives. Of `g` and a name that arrive together, all
    letters would be keys of the screen below the list that `g` opens, where `s` or `p` may answer a question.

    A key goes from the widget that has the focus up to the app, which looks for its binding. A mark follows
    through the same queues, so that it arrives when the key has been handled. A second mark waits for what
    the key has started there: a focus that moves, or another screen, whose widgets are there afterwards.

    Args:
        app: the console.
        deliver: gives the app a key, as it would take it without this queue.
    """

    def __init__(self, app: App[Any], deliver: Callable[[events.Key], Awaitable[None]]) -> None:
        self._app = app
        self._deliver = deliver
        self._waiting: deque[events.Key] = deque()
        self._check: asyncio.TimerHandle | None = None  # None while no key is on its way
        self._mark = 0  # the number of the last mark; earlier ones do not count any more
        self._held_until = 0.0  # seconds of the loop

    async def take(self, key: events.Key) -> None:
        """Deliver a key now, or as soon as those before it have been handled."""
        self._waiting.append(key)
        if self._check is None:
            await self._deliver_next()

    async def _deliver_next(self) -> None:
        key, target = self._waiting.popleft(), self._target
        self._held_until = asyncio.get_running_loop().time() + MAX_HELD_S
        await self._deliver(key)
        self._follow(target, None)

    @property
    def _target(self) -> DOMNode:
        return self._app.focused or self._app.screen

    def _follow(self, node: DOMNode, screen: DOMNode | None) -> None:
        """Send a mark through the queue of a node, and then through those above it.

        Args:
            node: of the first queue.
            screen: was in front when this mark began; None for the first one behind a key.
        """
        if self._check is not None:
            self._check.cancel()
        self._mark += 1
        self._watch(node, screen, self._mark)
        if not node.call_later(self._arrive, node, screen, self._mark) and node is not self._app:
            self._follow(self._app, screen)

    def _watch(self, node: DOMNode, screen: DOMNode | None, mark: int) -> None:
        """See after a while whether the node was closed together with the mark in its queue, or is stuck."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            if mark != self._mark or not self._app.is_running:
                return
            if loop.time() > self._held_until:
                self._app.call_later(self._release, mark)
            elif node.is_running:
                self._watch(node, screen, mark)
            else:
                self._follow(self._app, screen)

        self._check = loop.call_later(CHECK_INTERVAL_S, look)

    async def _arrive(self, node: DOMNode, screen: DOMNode | None, mark: int) -> None:
        if mark != self._mark:
            return
        if node is not self._app:
            self._follow(node.parent or self._app, screen)
        elif self._app.screen is not screen:
            self._follow(self._target, self._app.screen)
        else:
            await self._release(mark)

    async def _release(self, mark: int) -> None:
        """Deliver the next key, unless the mark has gone on meanwhile."""
        if mark != self._mark:
            return
        if self._check is not None:
            self._check.cancel()
        self._check = None
        self._mark += 1
        if self._waiting:
            await self._deliver_next()
