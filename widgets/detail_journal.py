"""The journal of one node: out of everything that happens, what concerns it."""

import re
from collections import deque
from collections.abc import Collection, Iterable, Reversible

from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.text import Repeats
from widgets.transcript_lines import Line, lines_of

KEPT = 1000  # lines
_BETWEEN = re.compile(r"[\s;]+")


class Journal:
    """Takes records as they come, and keeps the lines of those that concern the node.

    Args:
        node: its name.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._repeats = Repeats()
        self._last = 0  # sequence number of the record that was taken last
        self.lines: deque[Line] = deque(maxlen=KEPT)

    def follow(self, records: Reversible[Record], paths: Collection[tuple[str, str]]) -> bool:
        """Take what is new.

        Args:
            records: all of them, oldest first; only the new ones are looked at.
            paths: load balancer and "backend/server" of each line that the node has. What was sent by hand
                has no node: it is known by these.

        Returns:
            Whether anything concerned the node.
        """
        news = False
        for record in reversed(list(_since(records, self._last))):
            self._last = record.seq
            if self._concerns(record.event, paths) and not self._repeats.has(record.event):
                self.lines.extend(lines_of(record, len(self.lines)))
                news = True
        return news

    def _concerns(self, event: events.AnyEvent, paths: Collection[tuple[str, str]]) -> bool:
        if isinstance(event, events.CommandFinished) and not event.node:
            words = set(_BETWEEN.split(event.command))
            return any(event.target == target and path in words for target, path in paths)
        if self._node in (getattr(event, "node", ""), getattr(event, "subject", "")):
            return True
        return self._node in getattr(event, "nodes", ())


def _since(records: Reversible[Record], last: int) -> Iterable[Record]:
    """The new ones, newest first."""
    for record in reversed(records):
        if record.seq <= last:
            return
        yield record
