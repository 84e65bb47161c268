"""A whole application of fakes: nodes, load balancers, virtual time, and rollouts."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from backends.model import AdminState
from orchestrator.balancers.group import BalancerGroup
from orchestrator.canary.settings import CanarySettings
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.rollout import Rollout
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.engine.step_context import StepContext
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import AnyEvent, Record, RolloutEnded, StepStarted
from orchestrator.node import Node, OriginalState
from orchestrator.planning.application import Application, Policy
from orchestrator.planning.plan import Plan
from orchestrator.preflight.preflight import preflight
from tests.support.fake_balancer import FakeBalancer
from tests.support.fake_node import FakeHealth, FakeHost, FakeInstaller, FakeNode, FakePort, FakeService
from tests.support.fake_server import FakeServer
from tests.support.virtual_time import VirtualClock

E = TypeVar("E", bound=AnyEvent)

BACKEND = "shop"


class World:
    """`nodes` machines called web1, web2, ... behind `instances` load balancers called lb1, lb2, ...

    Make it inside a running virtual loop: its checks begin at once.
    """

    def __init__(
        self,
        nodes: int = 3,
        instances: int = 2,
        *,
        interactive: bool = False,
        verdict: Literal["stop", "watch", "off"] = "stop",
        **policy: object,
    ) -> None:
        self.policy = msgspec.convert({"min_available": 1, **policy}, Policy)
        self.nodes = {f"web{n}": FakeNode(f"web{n}") for n in range(1, nodes + 1)}
        self.balancers = {f"lb{n}": FakeBalancer(f"lb{n}") for n in range(1, instances + 1)}
        self.clock = VirtualClock()
        self.bus = EventBus(self.clock)
        self.control = RolloutControl(self.clock, self.bus, interactive=interactive)
        self.records: list[Record] = []
        self.bus.subscribe(self.records.append)
        for balancer in self.balancers.values():
            balancer.listener = self.bus.record
            for name, node in self.nodes.items():
                balancer.add(BACKEND, name, node)
            balancer.begin()
        self.balancer_group = BalancerGroup(tuple(self.balancers.values()), (BACKEND,))
        self.application = Application(
            "shop",
            tuple(_node(node) for node in self.nodes.values()),
            self.balancer_group,
            self.policy,
            canary=CanarySettings(verdict=verdict),
        )
        self.rollout: Rollout | None = None

    # -- short ways to things -----------------------------------------------------------------

    def server(self, name: str, instance: str = "lb1") -> FakeServer:
        return self.balancers[instance].servers[f"{BACKEND}/{name}"]

    def servers(self, name: str) -> list[FakeServer]:
        """The node's lines on all instances."""
        return [self.server(name, instance) for instance in self.balancers]

    def admin(self, name: str) -> list[AdminState]:
        return [server.seen().admin_state for server in self.servers(name)]

    def sent(self, name: str = "") -> list[str]:
        """What all load balancers were told (of one node), in order on each of them."""
        lines = [line for balancer in self.balancers.values() for _, line in balancer.sent]
        return [line for line in lines if f"{BACKEND}/{name}" in line]

    def events(self, kind: type[E]) -> list[E]:
        return [record.event for record in self.records if isinstance(record.event, kind)]

    def touched(self) -> bool:
        """Whether anything at all was asked of anybody."""
        return bool(self.sent()) or any(node.asked for node in self.nodes.values())

    def context(self, name: str = "web1", wanted: str | None = "2.0") -> StepContext:
        """What a step of this node is given, with its servers as they are now."""
        lines = self.servers(name)
        return StepContext(
            node=next(node for node in self.application.nodes if node.name == name),
            refs=tuple(line.ref for line in lines),
            originals={line.ref: OriginalState.of(line.seen()) for line in lines},
            wanted=wanted,
            balancer_group=self.balancer_group,
            policy=self.policy,
            clock=self.clock,
            control=self.control,
            bus=self.bus,
        )

    def take_out(self, name: str, state: str = "maint") -> None:
        """As somebody did, some time ago."""
        for server in self.servers(name):
            server.set_state(state)

    # -- time ---------------------------------------------------------------------------------

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something that many virtual seconds from now."""
        asyncio.get_running_loop().call_later(seconds, action)

    async def until(self, condition: Callable[[], object], step: float = 0.01) -> None:
        """Let virtual time pass until something is so."""
        while not condition():
            await asyncio.sleep(step)

    # -- the whole thing ----------------------------------------------------------------------

    async def plan(
        self, version: str = "2.0", *, limit: Sequence[str] = (), force_ready: Collection[str] = ()
    ) -> Plan:
        return await preflight(self.application, version, limit=limit, force_ready=force_ready)

    async def upgrade(self, version: str = "2.0", *, force_ready: Collection[str] = ()) -> RolloutEnded:
        return await self.carry_out(await self.plan(version, force_ready=force_ready))

    async def carry_out(self, plan: Plan, context: RolloutContext | None = None) -> RolloutEnded:
        self.rollout = Rollout(
            self.application, plan, self.control, self.clock, self.bus, Actor("me@here"), context
        )
        return await self.rollout.run()

    async def during(self, coroutine: Coroutine[Any, Any, object]) -> RolloutEnded:
        """An upgrade, with something else that happens beside it."""
        async with asyncio.TaskGroup() as group:
            rollout = group.create_task(self.upgrade())
            group.create_task(coroutine)
        return rollout.result()

    async def question(self, subject: str = "") -> str:
        """Wait until somebody is asked; the question's id."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [
                question.id
                for question in self.control.questions
                if not subject or question.subject == subject
            ]
            return bool(found)

        await self.until(look)
        return found[0]


def steps(world: World, name: str) -> list[str]:
    """The steps that this node has begun, in order."""
    return [event.step for event in world.events(StepStarted) if event.node == name]


async def answer(world: World, choice: str, subject: str = "", times: int = 1) -> None:
    """Give this answer to that many questions, one after the other."""
    for _ in range(times):
        question = await world.question(subject)
        world.control.answer(question, choice, Actor("ann"))
        await asyncio.sleep(0.01)


def _node(fake: FakeNode) -> Node:
    return Node(
        name=fake.name,
        addresses=frozenset({fake.name}),
        port=80,
        servers=(fake.name,),
        host=FakeHost(fake),
        service=FakeService(fake),
        port_probe=FakePort(fake),
        installer=FakeInstaller(fake),
        health=FakeHealth(fake),
    )
