"""The waits of a rollout that an operator may cut short: for the sessions of a drain, and for a healthy node.

What follows is what would have followed at the deadline of that wait, and nothing less is checked: a drain
goes on to maintenance, and a start or a verification has failed.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

from backends.name_ranges import fold_names
from orchestrator.events.actor import Actor
from orchestrator.events.events import AnyEvent, WaitCut
from orchestrator.events.steps import Step

Cut = Literal["enough", "fail-now"]
"""The drain has waited long enough; the node is to fail now."""


class WaitCuts:
    """The waits that can be cut short now, by node; `record` emits what an operator did."""

    def __init__(self, record: Callable[[AnyEvent], None]) -> None:
        self._record = record
        self._offers: dict[str, tuple[Cut, Step]] = {}
        self._requested: dict[str, Actor] = {}

    @contextlib.contextmanager
    def offer(self, node: str, step: Step, cut: Cut) -> Iterator[None]:
        """Let operators cut the waits of a node within this block."""
        self._offers[node] = cut, step
        try:
            yield
        finally:
            self._offers.pop(node, None)
            self._requested.pop(node, None)

    def nodes(self, cut: Cut) -> list[str]:
        """Return the nodes whose wait can be cut short in this way now."""
        return [node for node, (offered, _) in self._offers.items() if offered == cut]

    def request(self, cut: Cut, who: Actor, node: str = "") -> None:
        """Cut the wait of a node short; without its name, that of the only one.

        Raises:
            ValueError: no node waits for that, or several do and none is named.
        """
        waiting = self.nodes(cut)
        if not waiting:
            raise ValueError(f"no node has a wait that {cut!r} cuts short")
        if node and node not in waiting:
            raise ValueError(f"{node} has no wait that {cut!r} cuts short")
        if len(waiting) > 1 and not node:
            raise ValueError(f"several nodes wait: {fold_names(waiting)}")
        name = node or waiting[0]
        if name not in self._requested:
            self._requested[name] = who
            step = self._offers[name][1]
            self._record(WaitCut(node=name, step=step, what=cut, who=who.name, **who.origin))

    def requested_by(self, node: str) -> Actor | None:
        """Return who has cut the wait of a node short; None while nobody has."""
        return self._requested.get(node)
