"""How long nodes, and the rollout as a whole, have waited for answers of operators."""

import contextlib
from collections.abc import Callable, Iterator


class AnswerWaits:
    """Measures waits for answers: those of each node, and those of the whole rollout.

    A node waits for the answers to questions about it, and to those that must be answered before it goes on.
    The rollout waits while something waits, and no node does anything else.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        """Begin without waits; `elapsed` returns the seconds until now, without pauses."""
        self._elapsed = elapsed
        self._working: set[str] = set()
        self._waiting: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._total_s = 0.0
        self._changed_s = 0.0

    def seconds(self, name: str) -> float:
        """Return the seconds of all waits of a node that are over."""
        return self._seconds.get(name, 0.0)

    @property
    def total_s(self) -> float:
        """The seconds for which the rollout has waited."""
        self._measure()
        return self._total_s

    @contextlib.contextmanager
    def work(self, name: str) -> Iterator[None]:
        """Note that a node is worked on within the block, unless it waits."""
        self._measure()
        self._working.add(name)
        try:
            yield
        finally:
            self._measure()
            self._working.discard(name)

    @contextlib.contextmanager
    def wait(self, name: str) -> Iterator[None]:
        """Note that a node, or what a question is about, waits for an answer within the block."""
        if name in self._waiting:  # in a block around this one
            yield
            return
        self._measure()
        since = self._elapsed()
        self._waiting.add(name)
        try:
            yield
        finally:
            self._measure()
            self._waiting.discard(name)
            self._seconds[name] = self.seconds(name) + self._elapsed() - since

    def _measure(self) -> None:
        now = self._elapsed()
        if self._waiting and self._working <= self._waiting:
            self._total_s += now - self._changed_s
        self._changed_s = now
