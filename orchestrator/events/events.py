"""The events of a rollout, as values that all readers share. `.text` has their sentences and JSON."""

from typing import Literal

import msgspec

from orchestrator.events.base import ByActor, Event, OfStep, Timed
from orchestrator.events.drains import Drained
from orchestrator.events.judgement import Measured, VerdictChanged
from orchestrator.events.operator_commands import OperatorCommandFinished, OperatorCommandStarted
from orchestrator.events.steps import Step, check_step
from orchestrator.events.ways_back import OriginalStateRecord, OutOfRotation, WayOn

Result = Literal["healthy", "degraded", "aborted"]
RolloutKind = Literal["upgrade", "rollback"]
# Before a batch, a node or a step; of a node that has failed; of an inventory that has changed; of a verdict
# "hold" on the new version.
DecisionKind = Literal["batch", "node", "step", "failure", "change", "verdict"]


class RolloutStarted(ByActor, frozen=True, kw_only=True, tag="rollout_started"):
    """A rollout began, with what it is to do."""

    application: str
    version: str
    nodes: list[str]
    batches: list[list[str]]
    operator: str
    before: dict[str, str] = {}  # the version that each node had, as far as it was known
    kind: RolloutKind = "upgrade"
    reason: str = ""  # that the operator has given


class FreezeOverridden(ByActor, frozen=True, kw_only=True, tag="freeze_overridden"):
    """A rollout was started within a freeze window, on purpose."""

    operator: str
    reason: str  # until when it is frozen, and why


class LockTaken(ByActor, frozen=True, kw_only=True, tag="lock_taken"):
    """The lock that all machines share is ours: what an earlier holder still does has a smaller number."""

    operator: str
    fence: int  # grows with each holder


class Prefetched(Event, frozen=True, kw_only=True, tag="prefetched"):
    """The package is on every node, before the first one was touched."""

    duration_s: float


class BatchStarted(Event, frozen=True, kw_only=True, tag="batch_started"):
    """A batch of nodes began."""

    number: int  # from 1
    nodes: list[str]


class NodeStarted(Event, frozen=True, kw_only=True, tag="node_started"):
    """A node is about to be touched: what it has now, and what will be given back to it."""

    node: str
    version: str  # the target version
    originals: list[OriginalStateRecord]


class StepStarted(OfStep, frozen=True, kw_only=True, tag="step_started"):
    """A step of a node began."""


class Waiting(OfStep, frozen=True, kw_only=True, tag="waiting"):
    """The reason why a step is not done yet; sent when it changes and at least every second."""

    reason: str
    remaining_s: float  # to the deadline, or to the end of a bake
    baking: bool = False  # nothing is to be done: the node is watched in rotation
    weight_percent: int = 0  # the part of its weight that it has meanwhile, on a ramp; 0: it is on none
    outlook: str = ""  # how long it will probably take; empty where nothing is known

    @property
    def words(self) -> str:
        """The reason and, if there is one, the outlook."""
        return f"{self.reason}; {self.outlook}" if self.outlook else self.reason


class NodeNote(Event, frozen=True, kw_only=True, tag="node_note"):
    """A note for operators; it stops nothing."""

    node: str
    text: str


class StepDone(OfStep, frozen=True, kw_only=True, tag="step_done"):
    """A step of a node ended well."""

    changed: bool  # False: it was already so
    detail: str
    duration_s: float  # without time spent paused
    answer_wait_s: float = 0.0  # as in `Timed`


class Baked(Event, frozen=True, kw_only=True, tag="baked"):
    """A node was watched under traffic: to the end of its bake, or to what ended that."""

    node: str
    requests: int  # sent to it since just before it went back; sessions in TCP mode
    errors: int | None  # of these, how many ended in an error for the client; None in TCP mode: not known
    refused: int  # of the errors, connections that were refused to the end; known in TCP mode too
    retried: int  # attempts that were repeated, here or on another server, unnoticed by clients
    proven: bool  # False: too few requests to prove anything, or errors are not known
    duration_s: float  # without time spent paused
    unattributed: int = 0  # responses 5xx of its backends that no server explains, such as HAProxy's own 503


class NodeDone(Timed, frozen=True, kw_only=True):
    """Base of the two ways in which a node is done."""

    node: str
    version: str = ""  # the one that was proven on it


class NodeUpgraded(NodeDone, frozen=True, kw_only=True, tag="node_upgraded"):
    """A node has the new version, and was proven with it."""


class NodeRolledBack(NodeDone, frozen=True, kw_only=True, tag="node_rolled_back"):
    """A node has the version of before again, and was proven with it.

    In an upgrade, an operator has decided so after a failure; then it was failed before.
    """


class NodeSkipped(ByActor, frozen=True, kw_only=True, tag="node_skipped"):
    """An operator decided to leave a node as it is."""

    node: str
    who: str


class NodeFailed(OfStep, frozen=True, kw_only=True, tag="node_failed"):
    """A step of a node failed, and with it the rollout of the node."""

    error: str
    touched: bool = True  # False: it is as it was, and only held back: nothing was sent that changes it
    servers: list[str] = []  # as HAProxy reported them then: "DOWN 0/3 L7STS 503 on lb1"


class ServiceLog(OfStep, frozen=True, kw_only=True, tag="service_log"):
    """The last output of the service of a failed node; read once the node is out of rotation."""

    lines: list[str]  # oldest first


class NodePutBack(OfStep, frozen=True, kw_only=True, tag="node_put_back"):
    """A node that failed before its service was asked to stop was put back: it is as it was before."""

    error: str


class DecisionRequested(Event, frozen=True, kw_only=True, tag="decision_requested"):
    """An operator must decide; `RolloutControl.answer` takes one of the choices."""

    question: str  # its id
    subject: str  # the node or batch concerned
    text: str
    choices: list[str]
    kind: DecisionKind = "node"
    step: Step | None = None  # of the kind "step"
    version: str = ""  # where "back" is a choice, the version that it leads to

    def __post_init__(self) -> None:
        check_step(self.step)


class DecisionMade(ByActor, frozen=True, kw_only=True, tag="decision_made"):
    """An operator answered the question of a `decision_requested`."""

    question: str
    subject: str
    choice: str
    who: str


class Paused(ByActor, frozen=True, kw_only=True, tag="paused"):
    """All work is paused until it is resumed."""

    who: str
    why: str


class Resumed(ByActor, frozen=True, kw_only=True, tag="resumed"):
    """Work goes on after a pause."""

    who: str
    duration_s: float  # how long it was paused


class AbortRequested(ByActor, frozen=True, kw_only=True, tag="abort_requested"):
    """An operator asked for an end: no further step begins."""

    who: str
    why: str
    immediate: bool  # False: after the running steps


class WaitCut(ByActor, frozen=True, kw_only=True, tag="wait_cut"):
    """An operator did not let a step wait any longer: it goes on as it would have done at the deadline."""

    node: str
    step: str  # "drain" goes on to maintenance; any other has failed
    what: str  # "enough" or "fail-now"
    who: str


class ManualChangeStarted(ByActor, frozen=True, kw_only=True, tag="manual_change_started"):
    """An operator is about to change servers manually."""

    action: str  # drain, maint, ready, weight
    nodes: list[str]
    weight: int  # of the action "weight"
    override: list[str]  # nodes for which the floor may be broken: their names were typed
    operator: str
    reason: str = ""  # that the operator has given


class ManualChangeFinished(Event, frozen=True, kw_only=True, tag="manual_change_finished"):
    """A manual change has ended."""

    nodes: list[str]
    servers: list[str]  # as they read afterwards: "shop/web1 on lb1: maint"
    error: str  # why it was not done; empty when it was


class CommandEvent(Event, frozen=True, kw_only=True):
    """Base of the events of a command. `node` and `step` are empty outside the rollout of a node."""

    node: str
    step: str
    target: str


class CommandSending(CommandEvent, frozen=True, kw_only=True, tag="command_sending"):
    """A command is about to be sent; `command_finished` follows with its reply, or its loss."""

    command: str


class CommandStarted(CommandEvent, frozen=True, kw_only=True, tag="command_started"):
    """A command runs that may continue on its host without us; `command_finished` follows at its end."""

    pid: int
    started: int  # clock ticks after that machine's boot; 0: not known


class CommandFinished(CommandEvent, frozen=True, kw_only=True, tag="command_finished"):
    """A command was sent; this is its raw reply."""

    command: str
    reply: str
    ok: bool
    duration_s: float


class Traffic(Event, frozen=True, kw_only=True, tag="traffic"):
    """The traffic during the rollout by HAProxy's counters; it comes just before `rollout_ended`."""

    served: int  # requests sent to servers, or sessions where HAProxy counts no requests
    errors_5xx: int  # responses 5xx of the servers themselves, which is not all that clients saw
    duration_s: float  # between the two reads of the counters
    errors: int | None = None  # that clients saw because of a server; None: not known, or an older Rolldeck
    unattributed: int = 0  # responses 5xx that no server explains, such as HAProxy's own 503
    unknown: list[str] = []  # backends in TCP mode, where HAProxy does not count errors
    gaps: int = 0  # how often counters began again: what came just before is not counted


class RolloutEnded(Timed, frozen=True, kw_only=True, tag="rollout_ended"):
    """A rollout has ended: how each node went, and what is out of rotation now."""

    result: Result
    reason: str
    upgraded: list[str]
    failed: list[str]
    skipped: list[str]
    interrupted: list[str]  # touched, and neither done nor failed: an abort came in between
    pending: list[str]
    out_of_rotation: list[OutOfRotation]
    unreachable_balancers: list[str]  # load balancers that could not be read at the end, with the reason
    held: list[str] = []  # of those pending: nodes that had begun and could not be taken out
    versions: dict[str, str] = {}  # of each node of the application at the end, as far as it is known
    ways_on: list[WayOn] = []  # the first one is to be tried first; none after a healthy end
    blocked: str = ""  # why no command of Rolldeck can work until that is fixed, such as a full disk
    unproven: list[str] = []  # upgraded, but their bake saw too few requests, or no errors can be known
    put_back: list[str] = []  # failed before their service was asked to stop, and are as they were
    rolled_back: list[str] = []  # of a rollback, instead of `upgraded`; of an upgrade, after they had failed


class RollbackStarted(Event, frozen=True, kw_only=True, tag="rollback_started"):
    """A failed rollout is followed by its rollback, as `on_failure` says."""

    rollout: int  # in the journal
    policy: str  # `on_failure`
    nodes: list[str]


class RollbackRefused(Event, frozen=True, kw_only=True, tag="rollback_refused"):
    """The rollback could not begin: all is as the failed rollout, of this number, has left it."""

    rollout: int
    reason: str


class HookFired(Event, frozen=True, kw_only=True, tag="hook_fired"):
    """A hook has run. Hooks for the end of a rollout run after `rollout_ended`."""

    name: str
    moment: str
    node: str  # of the moments "node" and "failure"
    ok: bool
    duration_s: float
    error: str  # empty when it was well


class Unreadable(Event, frozen=True, kw_only=True, tag="unreadable"):
    """A row of the journal that cannot be read; it is never written. See `orchestrator.journal.entries`."""

    kind: str  # of the event, as it was written; empty when it has none
    problem: str  # why it is not understood
    text: str  # the row itself, cut


AnyEvent = (
    RolloutStarted | FreezeOverridden | LockTaken | Prefetched | BatchStarted | NodeStarted
    | StepStarted | Waiting | NodeNote | StepDone | Baked | NodeUpgraded | NodeRolledBack | NodeSkipped
    | NodeFailed | NodePutBack | ServiceLog | DecisionRequested | DecisionMade | Paused | Resumed
    | AbortRequested | WaitCut | ManualChangeStarted | ManualChangeFinished | CommandSending | CommandStarted
    | CommandFinished | Drained | Measured | VerdictChanged | Traffic | RolloutEnded | RollbackStarted
    | RollbackRefused | HookFired | OperatorCommandStarted | OperatorCommandFinished | Unreadable
)  # fmt: skip


class Record(msgspec.Struct, frozen=True):
    """An event with its place in the sequence: what readers are given."""

    seq: int
    at: float  # seconds since 1970
    event: AnyEvent
