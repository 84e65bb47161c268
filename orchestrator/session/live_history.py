"""What a session has seen lately of its application: its traffic, and notices of all that happened."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary, proxy

from backends.text import format_since
from orchestrator.errors import JournalError
from orchestrator.events.events import ManualChangeFinished, Record, RolloutEnded
from orchestrator.journal.unfinished import read_change
from orchestrator.live.notices import Notice, NoticeLog, last_changes
from orchestrator.live.poller import FleetView
from orchestrator.live.traffic_history import TrafficHistory
from orchestrator.live.view_changes import ViewChanges
from orchestrator.session.session import Session

if TYPE_CHECKING:
    from orchestrator.journal.entries import Entry
    from orchestrator.session.active_rollout import ActiveRollout

HISTORY_ENTRIES = 200  # of the journal, for who changed a node last
_SHOWN_ENTRIES = 12  # of those, as notices
_JOURNAL_INTERVAL_S = 30.0  # seconds between two reads of the journal: other processes write to it too


class Poller(Protocol):
    """What polls the load balancers."""

    @property
    def view(self) -> FleetView: ...

    def subscribe(self, reader: Callable[[], object]) -> Callable[[], None]: ...


class LiveHistory:
    """The traffic and the notices of one application, as long as its session lives.

    Args:
        session: of the application.
        poller: of its load balancers.
    """

    def __init__(self, session: Session, poller: Poller) -> None:
        self.traffic = TrafficHistory()
        self.notices = NoticeLog()
        self._session: Session = proxy(session)  # which must be able to end
        self._poller = poller
        self._changes = ViewChanges()
        self._consul = "connecting"
        self._last: dict[str, Entry] = {}
        self._is_read = False
        self._has_news = asyncio.Event()  # the journal has an entry that was not read
        session.bus.subscribe(self.add_record)
        self._remote: ActiveRollout | None = None
        self._remote_seq = -1
        if session.links.local is not None:
            session.links.local.subscribe(self.add_record)
        poller.subscribe(self.update)

    def update(self) -> None:
        """Take what was read of the load balancers and of Consul since the last call."""
        view, at = self._poller.view, self._session.clock.time()
        self.traffic.add(view)
        for notice in self._changes.compare(view, at, self._session.names):
            self.notices.add(notice)
        self._update_consul(at)
        self._update_remote()

    def _update_remote(self) -> None:
        """Take the events of a rollout of another machine, which publishes the last ones each time."""
        active = self._session.active
        if active is None or active.is_local:
            return
        if active is not self._remote:
            self._remote, self._remote_seq = active, -1
        for record in active.records:
            if record.seq > self._remote_seq:
                self._remote_seq = record.seq
                self.notices.add_record(record)

    def _update_consul(self, at: float) -> None:
        status = self._session.consul_status
        if status is None or status.state == self._consul:
            return
        if status.state == "stale":
            self.notices.add(Notice(at, "consul", status.note or "no answer", "bad"))
        elif self._consul == "stale":
            self.notices.add(Notice(at, "consul", "answers again", "good"))
        self._consul = status.state

    def add_record(self, record: Record) -> None:
        """Take an event of a rollout or a manual change of this application."""
        self.notices.add_record(record)
        if isinstance(record.event, ManualChangeFinished | RolloutEnded):
            self._has_news.set()

    async def follow_journal(self) -> None:
        """Read the journal now and then, until cancelled; one that cannot be read is left out."""
        while True:
            self._has_news.clear()
            await self.read_journal()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), _JOURNAL_INTERVAL_S)

    async def read_journal(self) -> None:
        """Read who did what lately; what happened before this session is added to the notices once."""
        with suppress(JournalError):
            entries = await asyncio.to_thread(self._session.work_log.recent_entries, HISTORY_ENTRIES)
            self._last = last_changes(entries)
            if not self._is_read:
                self._is_read = True
                self.notices.add_history(entries[:_SHOWN_ENTRIES])

    def describe_change(self, node: str) -> str:
        """Return who changed a node last, such as `drain by ann, 3 h ago`; empty when nobody is known."""
        entry = self._last.get(node)
        if entry is None:
            return ""
        action = read_change(entry).action if entry.kind == "change" else f"{entry.kind} {entry.version}"
        at = entry.began if entry.ended is None else entry.ended
        return f"{action} by {entry.operator}, {format_since(int(self._session.clock.time() - at))} ago"


_known: WeakKeyDictionary[Session, LiveHistory] = WeakKeyDictionary()


def live_history(session: Session, poller: Poller) -> LiveHistory:
    """Return the history of a session, which goes on while no screen shows it."""
    if session not in _known:
        _known[session] = LiveHistory(session, poller)
    return _known[session]
