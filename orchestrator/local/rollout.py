"""A rollout of another process on this machine: followed in the journal, and controlled by its socket."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from backends.errors import Refused
from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS
from orchestrator.engine.facts import ImpactFacts
from orchestrator.engine.manual_change import Change
from orchestrator.engine.operator_requests import ANSWERS, ControlAction
from orchestrator.engine.result import add_refusal, combine_with_rollback
from orchestrator.errors import PlanChanged, StepFailed
from orchestrator.events.actor import Actor
from orchestrator.events.events import Record, RollbackRefused, RollbackStarted, RolloutEnded
from orchestrator.events.state import RolloutState
from orchestrator.journal.entries import Entry
from orchestrator.journal.entry_status import is_running
from orchestrator.local.control_socket import send_line
from orchestrator.local.requests import ChangeLine, ControlLine, Reply, Sender
from orchestrator.planning.plan import Plan
from orchestrator.planning.plan_json import decode_plan

MAX_RECORDS = 20_000  # events that are kept for the transcript
CONTINUING = ("rollback-node", "rollback-all")  # values of `on_failure` after which a process goes on

Listener = Callable[[Record], None]


class LocalRollout:
    """Follows the rollouts of one application in the journal; implements `ActiveRollout`.

    A rollback that follows by itself (`on_failure`) is a part of the rollout: the process has ended when that
    has, and `ended` has both results.

    Attributes:
        application: its name.
        entry: of the journal, the one that is followed; None before the first.
        state: see `ActiveRollout`.
        unread: why the journal cannot be read; empty while it can.
        blocked: why nothing can be written to the journal, once the rollout is interrupted; else empty.
        reading: whether earlier events of it are still to be read.
        searched: whether rollouts that ran already were searched for.
    """

    is_local = True

    def __init__(self, application: str, socket: Path, actor: Actor) -> None:
        """Create one that follows nothing yet; `orchestrator.local.follower` gives it what it reads.

        Args:
            application: its name.
            socket: its path; see `orchestrator.local.control_socket`.
            actor: who sends requests.
        """
        self.application = application
        self.entry: Entry | None = None
        self.state = RolloutState()
        self.unread = ""
        self.blocked = ""
        self.reading = False
        self.searched = False
        self._socket = socket
        self._actor = actor
        self._records = deque[Record](maxlen=MAX_RECORDS)
        self._listeners: list[Listener] = []
        self._last_seq = 0
        self._misfit = ""  # what in the journal cannot be a part of this rollout
        self._alive = False
        self._plan: Plan | None = None
        self._before: RolloutEnded | None = None  # how the rollout has ended that is rolled back now
        self._rolled_back: list[str] = []  # nodes
        self._is_refused = False  # the rollback that should have followed by itself

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call this with each record; the returned function removes it again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- for the follower ---------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """The number of the last event that was read."""
        return self._last_seq

    def begin(self, entry: Entry) -> None:
        """Follow this entry from now on."""
        before = self.entry
        continues = before is not None and entry.follows == before.id and entry.pid == before.pid
        ended = self.state.ended
        self._before = ended if continues and self.expects_more else None
        if self._before is None:
            self._records.clear()
            self._rolled_back = []
        self._is_refused = False
        self.entry, self.state, self._last_seq = entry, RolloutState(), 0
        self._alive, self.reading, self._misfit = True, True, ""
        try:
            self._plan = decode_plan(entry.plan, entry.application, entry.version)
        except ValueError:
            self._plan = None

    def forget(self) -> None:
        """Follow nothing any more: another journal has the place of the one that was read."""
        self.entry, self.state, self._last_seq, self._plan = None, RolloutState(), 0, None
        self._alive, self.reading, self.searched, self._misfit = False, False, False, ""
        self._before = None
        self._records.clear()

    def take(self, records: Sequence[Record]) -> None:
        """Add records that follow those before."""
        for record in records:
            self._last_seq = record.seq
            try:
                self.state.apply(record)
            except (LookupError, ValueError, TypeError) as error:  # somebody has edited the journal
                self._misfit = f"event {record.seq} does not fit: {shorten(repr(error), MAX_SHOWN_CHARS)}"
            self._records.append(record)
            self._follow_rollback(record)
            for listener in tuple(self._listeners):
                listener(record)

    def _follow_rollback(self, record: Record) -> None:
        """Combine the ends of a rollout and of the rollback that its process does by itself."""
        ended = self.state.ended
        match record.event:
            case RollbackStarted(nodes=nodes):
                self._rolled_back = nodes
            case RollbackRefused(reason=reason) if ended is not None:
                self._is_refused, self.state.ended = True, add_refusal(ended, reason)
            case RolloutEnded() if ended is not None and self._before is not None and self._plan is not None:
                known = {node.name for node in self._plan.nodes}
                names = [name for name in self._rolled_back if name in known]
                wanted = {name: self._plan.target_version(name) for name in names}
                self.state.ended, self._before = combine_with_rollback(self._before, ended, wanted), None
            case _:
                pass

    def look_at_process(self) -> None:
        """Find out whether its process still works on it."""
        entry = self.entry
        if entry is None or not self._alive:
            return
        running = is_running(entry)
        if self.state.ended is not None:
            running = running and self.expects_more and self.is_listening
        self._alive = running

    @property
    def is_listening(self) -> bool:
        """Whether there is a control socket, which a process that was killed leaves behind, too."""
        return self._socket.exists()

    @property
    def expects_more(self) -> bool:
        """Whether a rollback follows by itself: the rollout has failed, and no operator has decided."""
        ended, plan = self.state.ended, self._plan
        if ended is None or plan is None or ended.result != "degraded" or self._is_refused:
            return False
        return self.state.kind == "upgrade" and plan.policy.on_failure in CONTINUING

    # -- for front ends -----------------------------------------------------------------------

    @property
    def records(self) -> Sequence[Record]:
        """See `ActiveRollout.records`."""
        return self._records

    @property
    def running(self) -> bool:
        """See `ActiveRollout.running`."""
        return self._alive and (self.state.ended is None or self.expects_more)

    @property
    def interrupted(self) -> bool:
        """See `ActiveRollout.interrupted`."""
        return self.entry is not None and not self._alive and self.state.ended is None

    @property
    def plan(self) -> Plan | None:
        """See `ActiveRollout.plan`."""
        return self._plan

    @property
    def who(self) -> str:
        """See `ActiveRollout.who`."""
        entry = self.entry
        return f"{entry.operator} (process {entry.pid} on {entry.host})" if entry is not None else ""

    @property
    def problem(self) -> str:
        """See `ActiveRollout.problem`."""
        return self.unread or self._misfit

    @property
    def paused(self) -> bool:
        """See `ActiveRollout.paused`."""
        return self.state.phase == "paused"

    @property
    def words(self) -> str:
        """See `ActiveRollout.words`."""
        if self.entry is None:
            return ""
        if self.interrupted:
            blocked = f" and {self.blocked}; once that is fixed," if self.blocked else ":"
            return f"its process {self.entry.pid} is gone{blocked} resume it or roll it back"
        return f"by {self.entry.operator}, process {self.entry.pid}"

    async def request(self, what: ControlAction, subject: str = "") -> None:
        """See `ActiveRollout.request`."""
        asked = next(
            (asked for asked in self.state.questions.values() if subject in ("", asked.subject)), None
        )
        is_answer = what in ANSWERS
        await self._send(
            ControlLine(
                what=what,
                sender=self._sender,
                entry=self._number,
                subject=subject,
                question=asked.question if asked is not None and is_answer else "",
            )
        )

    async def change(self, change: Change, shown: ImpactFacts) -> Sequence[str]:
        """See `ActiveRollout.change`."""
        reply = await self._send(
            ChangeLine(
                action=change.action,
                nodes=tuple(node.name for node in change.nodes),
                weight=change.weight,
                override=change.override,
                shown=shown,
                reason=change.reason,
                sender=self._sender,
                entry=self._number,
            )
        )
        return reply.servers

    @property
    def _number(self) -> int:
        return self.entry.id if self.entry is not None else 0

    @property
    def _sender(self) -> Sender:
        via: Literal["terminal", "console"] = "console" if self._actor.via == "console" else "terminal"
        return Sender(name=self._actor.name, via=via, credential=self._actor.credential)

    async def _send(self, line: ControlLine | ChangeLine) -> Reply:
        reply = await send_line(self._socket, line)
        match reply.status:
            case "changed":
                raise PlanChanged(reply.text)
            case "failed":
                raise StepFailed(reply.text)
            case "refused":
                raise Refused("the rollout", reply.text)
            case _:
                return reply
