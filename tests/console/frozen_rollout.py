"""Rollouts for the frozen console, reported to a session as a real rollout would report them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backends.command import CommandFinished
from backends.errors import Refused
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.facts import ImpactFacts
from orchestrator.engine.manual_change import Change
from orchestrator.engine.operator_requests import ControlAction, OperatorRequests
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    AnyEvent,
    BatchStarted,
    DecisionKind,
    NodeFailed,
    NodeStarted,
    NodeUpgraded,
    Record,
    RolloutEnded,
    RolloutStarted,
    StepDone,
    StepStarted,
    Waiting,
)
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.planning.plan import Plan
from orchestrator.session.active_rollout import ActiveRollout
from orchestrator.session.links import SessionLinks
from orchestrator.session.session import Session
from tests.console.frozen_console import (
    BACKEND,
    BALANCERS,
    BUSY,
    CALM,
    Frame,
    FrozenClock,
    FrozenConsole,
    session_of,
)

# No sum of them is near a whole second: Python 3.12 and newer add up floats in another way than 3.11.
TOOK: dict[Step, float] = {"drain": 38.3, "stop": 2.4, "install": 11.6, "start": 24.2, "verify": 9.2}
Question = tuple[str, str, tuple[str, ...], DecisionKind, Step | None]
"""Subject, text and choices."""

FAILURE = "not healthy within 300 s, last seen: 503 Service Unavailable, expected 200"


def halfway(third: str = "ready") -> Frame:
    """Two nodes have the new version; the third one is in this state."""
    new = tuple(replace(machine, version="1.5.0", since=95) for machine in BUSY[:2])
    idle = {"sessions": 7 if third == "drain" else 0, "trend": (144, 139, 60, 2, 0, 0, 0, 0), "since": 18}
    worked_on = BUSY[2] if third == "ready" else replace(BUSY[2], state=third, **idle)  # type: ignore[arg-type]
    return Frame((*new, worked_on, *BUSY[3:]))


class FrozenRollout:
    """A session in the middle of an upgrade to 1.5.0. Each method is something that happened next."""

    def __init__(self, scene: Frame, confirm: str = "none") -> None:
        self.scene = scene
        self.session = session_of(scene)
        assert isinstance(self.session.clock, FrozenClock)
        self._clock = self.session.clock
        self._questions: list[Question] = []
        self._records: list[Record] = []
        self.session.bus.subscribe(self._records.append)
        before = session_of(replace(CALM, policy=scene.policy))
        plan = asyncio.run(before.plan("1.5.0", changes={"confirm": confirm}))
        names = [node.name for node in plan.nodes]
        self.active = FrozenActive(self.session, plan)
        self.session.links = _FrozenLinks(self.active)
        self.session.activity.control = RolloutControl(self._clock, self.session.bus, interactive=True)
        self._tell(
            RolloutStarted(
                application="shop",
                version="1.5.0",
                nodes=names,
                batches=[[name] for name in names],
                operator="ann@bastion",
                before=dict.fromkeys(names, "1.4.2"),
            )
        )

    def upgraded(self, *names: str) -> "FrozenRollout":
        """These went through all steps."""
        for number, name in enumerate(names, self.session.state.batch + 1):
            self._tell(BatchStarted(number=number, nodes=[name]))
            for step in STEPS:
                self.step(name, step).done(name, step)
            self._tell(NodeUpgraded(node=name, duration_s=sum(TOOK.values())))
        return self

    def batch(self, name: str) -> "FrozenRollout":
        self._tell(BatchStarted(number=self.session.state.batch + 1, nodes=[name]))
        return self

    def begun(self, name: str) -> "FrozenRollout":
        """The node is about to be touched; all of its servers are in rotation."""
        ready = [
            OriginalStateRecord(
                instance=instance, backend=BACKEND, server=name, admin="ready", weight=100, agent=False
            )
            for instance in BALANCERS
        ]
        self._tell(NodeStarted(node=name, version="1.5.0", originals=ready))
        return self

    def step(self, name: str, step: Step) -> "FrozenRollout":
        """A step began, with what it sends."""
        self._tell(StepStarted(node=name, step=step))
        with self.session.bus.commands_of(name, step):
            for target, command, reply in _sent(name, step):
                self.session.bus.record(CommandFinished(target, command, reply, True, 0.004))
        return self

    def done(self, name: str, step: Step) -> "FrozenRollout":
        self._clock.moment += TOOK[step]
        self._tell(StepDone(node=name, step=step, changed=True, detail="", duration_s=TOOK[step]))
        return self

    def waits(self, name: str, step: Step, reason: str, left: float, after: float) -> "FrozenRollout":
        """So many seconds later it says why it is not done yet."""
        self._clock.moment += after
        self._tell(Waiting(node=name, step=step, reason=reason, remaining_s=left))
        return self

    def judged(self, *verdicts: VerdictChanged, every_s: float = 10.0) -> "FrozenRollout":
        """Its version was judged so often since then."""
        for verdict in verdicts:
            self._clock.moment += every_s
            self._tell(verdict)
        return self

    def failed(self, name: str, step: Step, error: str) -> "FrozenRollout":
        self._tell(NodeFailed(node=name, step=step, error=error))
        return self

    def asks(
        self, subject: str, text: str, *choices: str, step: Step | None = None, kind: DecisionKind = "node"
    ) -> "FrozenRollout":
        """It will wait for an answer as soon as the console is there."""
        self._questions.append((subject, text, choices, "step" if step else kind, step))
        return self

    def ends(self, how: RolloutEnded) -> "FrozenRollout":
        self._tell(how)
        self.active.running = False
        return self

    def console(self) -> FrozenConsole:
        console = _Asking(self.scene, self.session, self._questions)
        assert console.workspace is not None
        console.workspace.records.extend(self._records)
        return console

    def _tell(self, event: AnyEvent) -> None:
        self.session.bus.emit(event)


class FrozenActive:
    """Implements `ActiveRollout` by the events of a session."""

    problem = words = who = ""
    is_local = True
    interrupted = False

    def __init__(self, session: Session, plan: Plan) -> None:
        self.state = session.state
        self.plan: Plan | None = plan
        self.running = True
        self.records: list[Record] = []
        self._session = session

    @property
    def paused(self) -> bool:
        return self._session.control.paused

    async def request(self, what: ControlAction, subject: str = "") -> None:
        requests = OperatorRequests(lambda: self._session.control, "")
        requests.carry_out(what, Actor("ann@bastion", "console"), subject)

    async def change(self, change: Change, shown: ImpactFacts) -> Sequence[str]:
        raise Refused("the rollout", "this is a frozen console")


@dataclass(frozen=True)
class _FrozenLinks(SessionLinks):
    """Links to nothing but a frozen rollout."""

    frozen: ActiveRollout | None = None

    def __init__(self, frozen: ActiveRollout) -> None:
        object.__setattr__(self, "frozen", frozen)
        for name in ("consul", "published", "remote", "local", "socket"):
            object.__setattr__(self, name, None)

    @property
    def active(self) -> ActiveRollout | None:
        return self.frozen


class _Asking(FrozenConsole):
    """Its questions wait from the start, as those of a running rollout would."""

    def __init__(self, scene: Frame, session: Session, questions: Sequence[Question]) -> None:
        super().__init__(scene, session)
        self._questions = questions
        self._tasks: list[asyncio.Task[object]] = []

    def on_load(self) -> None:
        assert self.workspace is not None
        for question in self._questions:
            control = self.workspace.session.control
            self._tasks.append(asyncio.create_task(control.request_decision(*question)))


def _sent(name: str, step: Step) -> Sequence[tuple[str, str, str]]:
    if step == "drain":
        return [(lb, f"set server shop/{name} state drain", "\n") for lb in ("lb1", "lb2")]
    if step == "install":
        return [(name, "sudo apt-get install -y shop=1.5.0", "Setting up shop (1.5.0) ...\n")]
    if step == "verify":
        return [(lb, f"set server shop/{name} state ready", "\n") for lb in ("lb1", "lb2")]
    return [(name, f"sudo monit {step} shop", "")]
