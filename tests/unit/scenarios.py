"""Random fleets, faults and operators, with which the properties of a rollout are tested."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from hypothesis import strategies as st

from backends.errors import PermissionDenied, Refused, UnknownOutcome, Unreachable, UnreadableReply
from backends.model import ServerRef
from orchestrator.engine.control import ABORT, CONTINUE, RETRY, SKIP
from orchestrator.events.actor import Actor
from orchestrator.events.events import RolloutEnded
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan
from tests.support.fake_fleet import World
from tests.support.fake_node import FakeNode

T = TypeVar("T")

NODE_OPERATIONS = ["state", "stop", "alive", "port", "installed", "install", "start", "health"]
HORIZON = 90  # virtual seconds within which things happen

ERRORS: dict[str, Callable[[str], Exception]] = {
    "unreachable": lambda target: Unreachable(target, "connection refused"),
    "unknown": lambda target: UnknownOutcome(target, "connection lost"),
    "refused": lambda target: Refused(target, "no"),
    "denied": lambda target: PermissionDenied(target, "Permission denied"),
    "unmeasured": lambda target: UnreadableReply(target, "garbage"),
}


@dataclass(frozen=True)
class Trouble:
    """An operation of a node or a load balancer that fails some times, from some moment on."""

    target: str
    operation: str
    error: str
    executed: bool
    times: int
    at: int

    def strike(self, world: World) -> None:
        faults = (world.nodes.get(self.target) or world.balancers[self.target]).faults
        faults.add(self.operation, ERRORS[self.error](self.target), executed=self.executed, times=self.times)


@dataclass(frozen=True)
class Scenario:
    """Everything that is random, chosen before anything runs."""

    nodes: int
    instances: int
    policy: dict[str, Any]
    interactive: bool
    states: list[str]  # of each node: ready, maint, drain, mixed
    weights: list[int]
    agents: list[bool]
    habits: dict[str, str]  # of some nodes
    troubles: list[Trouble]
    outages: dict[str, tuple[int, int]]  # of some instances: from, and for how long
    crashes: dict[str, int]  # when a node falls ill by itself
    people: list[tuple[int, str]]  # when, and what: one of ACTS
    answers: list[str] = field(default_factory=list)  # to questions, then always "skip"


ACTS = ("pause", "resume", "abort", "abort at once")

HABITS: dict[str, Callable[[FakeNode], None]] = {
    "ignores stop": lambda node: setattr(node, "ignores_stop", True),
    "lies about start": lambda node: setattr(node, "lies_about_start", True),
    "sick": lambda node: setattr(node, "sick", frozenset({"2.0"})),
    "wrong install": lambda node: setattr(node, "installs", "1.9"),
    "old runs": lambda node: setattr(node, "runs", "1.0"),
    "slow": lambda node: setattr(node, "start_delay", 12.0),
    "sheds errors": lambda node: None,
    "busy": lambda node: None,
    "downloads": lambda node: None,
}

POLICY = st.fixed_dictionaries(
    {
        "serial": st.sampled_from([1, 1, 1, 2, 3, "50%", [1, "100%"]]),
        "min_available": st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2, "30%", "50%"]),
        "max_unavailable": st.sampled_from([None, None, None, None, None, None, 1, 2]),
        "max_fail_percentage": st.sampled_from([0, 0, 50, 100]),
        "confirm": st.sampled_from(["none", "none", "node", "batch", "step"]),
        "require_haproxy_checks": st.sampled_from([True, True, False]),
        "on_remaining_sessions": st.sampled_from(["proceed", "fail", "fail", "shutdown", "pace"]),
        "bake_time": st.sampled_from([0, 3]),
        "capacity_timeout": st.just(10),
        "balancer_unreachable_timeout": st.just(5),
        "drain_timeout": st.just(6),
        "maint_grace_period": st.just(3),
        "stop_timeout": st.just(8),
        "install_timeout": st.just(8),
        "start_timeout": st.just(15),
        "start_grace": st.sampled_from([2, 10]),
        "min_healthy": st.sampled_from([0, 3]),
        "verify_timeout": st.just(20),
    }
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    nodes, instances = draw(st.sampled_from([1, 2, 3, 4, 4, 5, 6])), draw(st.integers(1, 3))
    names = [f"web{n}" for n in range(1, nodes + 1)]
    balancers = [f"lb{n}" for n in range(1, instances + 1)]
    moment = st.integers(0, HORIZON)
    some_node = st.sampled_from(names)

    def each_of(choices: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
        return st.lists(choices, min_size=nodes, max_size=nodes)

    node_trouble = st.builds(
        Trouble,
        target=some_node,
        operation=st.sampled_from(
            ["state", "stop", "alive", "port", "installed", "install", "start", "health"]
        ),
        error=st.sampled_from(list(ERRORS)),
        executed=st.booleans(),
        times=st.integers(1, 3),
        at=moment,
    )
    balancer_trouble = st.builds(
        Trouble,
        target=st.sampled_from(balancers),
        operation=st.sampled_from(["write", "write", "snapshot"]),
        error=st.sampled_from(list(ERRORS)),
        executed=st.booleans(),
        times=st.integers(1, 3),
        at=moment,
    )
    interactive = draw(st.booleans())
    policy = draw(POLICY)
    if not interactive:
        policy["confirm"] = "none"
    return Scenario(
        nodes=nodes,
        instances=instances,
        policy=policy,
        interactive=interactive,
        states=draw(each_of(st.sampled_from(["ready"] * 9 + ["maint", "drain", "mixed"]))),
        weights=draw(each_of(st.sampled_from([1] * 7 + [50] * 3 + [0]))),
        agents=draw(each_of(st.sampled_from([False, False, True]))),
        habits=draw(st.dictionaries(some_node, st.sampled_from([*HABITS, "downloads"]), max_size=2)),
        troubles=draw(st.lists(node_trouble | balancer_trouble, max_size=4)),
        outages=draw(
            st.dictionaries(
                st.sampled_from(balancers), st.tuples(moment, st.sampled_from([2, 30, 9999])), max_size=1
            )
        ),
        crashes=draw(st.dictionaries(some_node, moment, max_size=1)),
        people=draw(
            st.lists(
                st.tuples(moment, st.sampled_from(["pause", "resume", "abort", "abort at once"])), max_size=3
            )
        ),
        answers=draw(
            st.lists(st.sampled_from([CONTINUE, CONTINUE, CONTINUE, RETRY, SKIP, ABORT]), max_size=12)
        ),
    )


@dataclass
class Outcome:
    """What the properties are asked about."""

    world: World
    plan: Plan
    originals: dict[ServerRef, OriginalState]
    ended: RolloutEnded | None = None  # None: the plan had errors, and was not begun
    stopped_in_rotation: list[str] = field(default_factory=list)

    def original(self, name: str) -> list[OriginalState]:
        return [self.originals[server.ref] for server in self.world.servers(name)]

    def now(self, name: str) -> list[OriginalState]:
        return [OriginalState.of(server.seen()) for server in self.world.servers(name)]


async def play(scenario: Scenario) -> Outcome:
    """Run it to its end, in virtual time."""
    world = World(scenario.nodes, scenario.instances, interactive=scenario.interactive, **scenario.policy)
    _set_the_stage(world, scenario)
    originals = {ref.ref: OriginalState.of(ref.seen()) for name in world.nodes for ref in world.servers(name)}
    outcome = Outcome(world, await world.plan(), originals)
    if outcome.plan.errors:
        return outcome
    for name, node in world.nodes.items():
        _watch(outcome, name, node)
    _let_things_happen(world, scenario)
    operator = asyncio.create_task(_operator(world, list(scenario.answers)))
    try:
        outcome.ended = await world.carry_out(outcome.plan)
    finally:
        operator.cancel()
    return outcome


def _set_the_stage(world: World, scenario: Scenario) -> None:
    for name, state, weight, agent in zip(
        world.nodes, scenario.states, scenario.weights, scenario.agents, strict=True
    ):
        for number, server in enumerate(world.servers(name)):
            server.weight = server.initial_weight = weight
            server.agent, server.agent_configured = agent, agent
            if state == "mixed":
                if number == 0:
                    server.set_state("maint")
            elif state != "ready":
                server.set_state(state)
    for name, habit in scenario.habits.items():
        HABITS[habit](world.nodes[name])
        for server in world.servers(name):
            server.gives_5xx = habit == "sheds errors"
            server.sticky = 2 if habit == "busy" else 0
            server.leaving = [2.0 * HORIZON] if habit == "downloads" else []


def _watch(outcome: Outcome, name: str, node: FakeNode) -> None:
    """Note a service that is stopped, or files that are replaced, while traffic goes there."""

    def asked(what: str) -> None:
        if what != "start" and any(server.seen().in_rotation for server in outcome.world.servers(name)):
            outcome.stopped_in_rotation.append(f"{what} of {name}")

    node.on_asked = asked


def _let_things_happen(world: World, scenario: Scenario) -> None:
    for trouble in scenario.troubles:
        world.at(trouble.at, partial(trouble.strike, world))
    for name, (begin, seconds) in scenario.outages.items():
        balancer = world.balancers[name]
        world.at(begin, partial(setattr, balancer, "down", True))
        world.at(begin + seconds, partial(setattr, balancer, "down", False))
    for name, at in scenario.crashes.items():
        world.at(at, partial(setattr, world.nodes[name], "healthy", False))
    acts = {"pause": world.control.pause, "resume": world.control.resume, "abort": world.control.abort}
    for at, act in scenario.people:
        if act == "abort at once":
            world.at(at, partial(world.control.abort, Actor("ann")))
            world.at(at + 3, partial(world.control.abort, Actor("ann")))
        else:
            world.at(at, partial(acts[act], Actor("ann")))
    world.at(4 * HORIZON, lambda: world.control.resume(Actor("ann")))  # nobody pauses forever


async def _operator(world: World, answers: list[str]) -> None:
    """Answers every question after a while."""
    while True:
        await asyncio.sleep(1.7)
        for question in world.control.questions:
            wanted = answers.pop(0) if answers else SKIP
            choice = wanted if wanted in question.choices else question.choices[0]
            if choice == RETRY and not answers:
                choice = SKIP  # it could go on forever
            world.control.answer(question.id, choice, Actor("ann"))
