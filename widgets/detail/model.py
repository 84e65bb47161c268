"""Everything that is known about one node at one moment, including its journal."""

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Reversible, Sequence
from dataclasses import dataclass, field

from backends.model import Server, ServerRef
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.text import RepeatedEvents
from orchestrator.journal.node_entries import NodeEntry
from orchestrator.live.node_checks import NodeCheck
from orchestrator.live.poller import BalancerView, FleetView, PolledSessions
from widgets.segments import Segment
from widgets.table.by_server import RowKey
from widgets.table.model import LONG_STALE_S
from widgets.transcript import Line, make_lines


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """The data of one node.

    Attributes:
        node: its name.
        keys: backend and server name of each line that it has.
        version: the running version; empty if unknown.
        view: the last state of all load balancers.
        in_flight: the sessions, as far as they were read.
        journal: the events of the node since the console opened, oldest first.
        entries: those of the journal on disk that concern the node, newest first.
        own_checks: the checks that Rolldeck makes itself; none before they were made.
        unread: why those cannot be read; empty when they can.
        now: monotonic seconds of the poller's clock.
        rollouts: the rollout that keeps a server out, in words, where one does.
    """

    node: str
    keys: tuple[RowKey, ...]
    version: str
    view: FleetView
    in_flight: Mapping[ServerRef, PolledSessions] = field(default_factory=dict)
    journal: Sequence[Line] = ()
    entries: Sequence[NodeEntry] = ()
    unread: str = ""
    own_checks: Sequence[NodeCheck] = ()
    now: float = 0.0
    rollouts: Mapping[ServerRef, str] = field(default_factory=dict)

    def lines(self) -> Iterable[tuple[BalancerView, Server]]:
        """Yield each server line with its load balancer, in the order of the configuration."""
        for key in self.keys:
            for instance in self.view.instances:
                if (server := instance.server(key)) is not None:
                    yield instance, server

    def age(self, instance: BalancerView) -> float:
        """Return the age of a load balancer's data in seconds."""
        return 0.0 if instance.read_at is None else max(0.0, self.now - instance.read_at)

    def connection(self, instance: BalancerView) -> Segment:
        """Return the state of a load balancer as glyph and text."""
        if instance.state == "live":
            return "● live", "ok"
        if instance.state == "connecting":
            return "◌ connecting", "moving"
        age = self.age(instance)
        return f"✗ stale {age:.0f} s", "bad" if age >= LONG_STALE_S else "moving"


MAX_JOURNAL_LINES = 1000  # lines
_BETWEEN = re.compile(r"[\s;]+")


class NodeJournal:
    """Reads new records and keeps the lines of those that concern the node.

    Args:
        node: its name.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._repeats = RepeatedEvents()
        self._last = 0  # sequence number of the record that was taken last
        self.lines: deque[Line] = deque(maxlen=MAX_JOURNAL_LINES)

    def follow(self, records: Reversible[Record], paths: Collection[tuple[str, str]]) -> bool:
        """Read new records.

        Args:
            records: all of them, oldest first; only the new ones are read.
            paths: load balancer and "backend/server" of each line that the node has. Manual commands have no
                node, and are recognized by these.

        Returns:
            Whether anything concerned the node.
        """
        news = False
        for record in reversed(list(_since(records, self._last))):
            self._last = record.seq
            if self._concerns(record.event, paths) and not self._repeats.has(record.event):
                self.lines.extend(make_lines(record, len(self.lines)))
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
    """Yield the new records, newest first."""
    for record in reversed(records):
        if record.seq <= last:
            return
        yield record
