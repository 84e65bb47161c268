"""The console with fixed data, without network, polling or a moving clock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.command import Command
from backends.errors import Refused, Unreachable
from backends.haproxy.columns import columns_of
from backends.local_machine import SystemClock
from backends.model import Admin, Backend, Info, Level, Operational, Server, SessionList, Sessions, Snapshot
from console.config.config_file import Config, ConsoleSettings
from console.tui.app import Console
from console.tui.workspace import Workspace
from orchestrator.balancers.group import BalancerGroup
from orchestrator.events.event_bus import EventBus
from orchestrator.live.poller import BalancerView, FleetView, Poller
from orchestrator.live.rates import Rates, RowIndex
from orchestrator.local.launch import LaunchReply, RolloutRequest
from orchestrator.node import Node
from orchestrator.planning.application import Application, Policy
from orchestrator.session.recovery import roll_back_after
from orchestrator.session.session import Session
from tests.support.console_values import server
from tests.support.fake_balancer import FakeFacts
from tests.support.fake_node import FakeHealth, FakeHost, FakeInstaller, FakeNode, FakePort, FakeService
from tests.support.journal import blank_work_log
from tests.support.svg import lean

BACKEND = "shop"
BALANCERS = ("lb1", "lb2")
EPOCH = 1_700_000_000.0  # 22:13:20 UTC
TIME_OF_DAY = "16:42:05"

STATES: Mapping[str, Mapping[str, object]] = {
    "ready": {},
    "drain": {"admin": Admin.FORCED_DRAIN, "status": "DRAIN", "effective_weight": 0},
    "maint": {
        "admin": Admin.FORCED_MAINT,
        "status": "MAINT",
        "operational": Operational.STOPPED,
        "effective_weight": 0,
        "check_health": 0,
    },
    "down": {
        "status": "DOWN",
        "operational": Operational.STOPPED,
        "check_status": "L4CON",
        "last_check": "Connection refused",
        "check_health": 0,
    },
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One node, as every load balancer sees it."""

    name: str
    state: str = "ready"  # of STATES
    version: str = "1.4.2"
    sessions: int = 0
    trend: tuple[int, ...] = (0,) * 8  # requests per second on all load balancers, oldest first
    errors: int = 0  # responses 5xx between the last two looks
    response: int | None = None  # milliseconds
    since: int = 5_000  # seconds since the state last changed
    elsewhere: Mapping[str, str] = field(default_factory=dict)  # another state, by load balancer


@dataclass(frozen=True, slots=True)
class Frame:
    """What there is to be seen."""

    machines: tuple[Machine, ...]
    silent: str = ""  # a load balancer that has not answered for 12 seconds
    reloaded: str = ""  # one with a new process since 4 seconds
    level: Level = Level.ADMIN
    policy: Policy = field(default_factory=Policy)


BUSY = (
    Machine("web1", sessions=12, trend=(96, 118, 160, 121, 112, 131, 150, 143), response=8),
    Machine("web2", sessions=11, trend=(122, 131, 158, 149, 120, 118, 127, 139), response=9),
    Machine("web3", sessions=13, trend=(140, 126, 98, 102, 117, 135, 144, 146), response=8),
    Machine("web4", sessions=13, trend=(119, 101, 133, 157, 151, 124, 139, 150), response=7),
    Machine("web5", sessions=9, trend=(133, 139, 142, 128, 115, 109, 126, 137), response=8),
    Machine("web6", sessions=14, trend=(104, 117, 138, 155, 149, 131, 128, 141), response=11),
)
"""Six nodes in full health."""

CALM = Frame(BUSY)
TROUBLED = Frame(
    (
        replace(BUSY[0], version="1.5.0"),
        replace(BUSY[1], version="1.5.0", errors=2),
        replace(BUSY[2], state="drain", sessions=7, trend=(141, 98, 12, 0, 0, 0, 0, 0), since=18),
        BUSY[3],
        Machine("web5", "maint", since=7_400, elsewhere={"lb2": "ready"}, response=12),
        Machine("web6", "down", trend=(139, 122, 61, 0, 0, 0, 0, 0), since=190),
    ),
    silent="lb2",
)
"""As in the sketch: a drain, a maintenance on one load balancer only, a node that is down."""


class FrozenClock(SystemClock):
    """Stands where it is put."""

    def __init__(self) -> None:
        self.moment = 10_000.0  # monotonic seconds

    def time(self) -> float:
        return EPOCH + self.moment - 10_000

    def monotonic(self) -> float:
        return self.moment


class FrozenBalancer:
    """Implements `LoadBalancer`: always says the same, and takes no command."""

    def __init__(self, name: str, scene: Frame) -> None:
        self.name = name
        self._scene = scene

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        if self._scene.silent == self.name:
            raise Unreachable(self.name, "connection refused")
        shown = (Backend(BACKEND, "http", "roundrobin", ""),)
        return Snapshot(_info(self.name), self._scene.level, shown, servers(self._scene, self.name))

    async def sessions(self, backend: str, server: str, limit: int) -> Sessions:
        raise Unreachable(self.name, "this is a frozen console")

    async def list_sessions(self, servers: Collection[tuple[str, str]]) -> SessionList:
        raise Unreachable(self.name, "this is a frozen console")

    async def older_sessions(self, backends: Sequence[str] = ()) -> None:
        return None

    async def write(self, command: str) -> None:
        raise Refused(self.name, f"`{command}`: this is a frozen console")

    async def facts(self) -> FakeFacts:
        return FakeFacts()


class _Monit(FakeService):
    def stop_command(self) -> Command:
        return Command(("sudo", "monit", "stop", "shop"))

    def start_command(self) -> Command:
        return Command(("sudo", "monit", "start", "shop"))


class _Apt(FakeInstaller):
    def install_commands(self, version: str) -> tuple[Command, ...]:
        return (Command(("sudo", "apt-get", "install", "-y", f"shop={version}")),)

    def prefetch_commands(self, version: str) -> tuple[Command, ...]:
        return (Command(("sudo", "apt-get", "install", "-y", "--download-only", f"shop={version}")),)


class _FrozenWatch(Poller):
    def __init__(self, balancer_group: BalancerGroup, clock: FrozenClock, view: FleetView) -> None:
        super().__init__(balancer_group, clock)
        self._still = view

    @property
    def view(self) -> FleetView:
        return self._still


class FrozenConsole(Console):
    """The console on a scene. Its screenshots are lean SVG."""

    def __init__(
        self,
        scene: Frame,
        session: Session | None = None,
        *,
        read_only: str = "",
        applications: Sequence[str] = (),
        settings: ConsoleSettings | None = None,
    ) -> None:
        session = session or session_of(scene)
        clock = session.clock
        assert isinstance(clock, FrozenClock)
        watch = _FrozenWatch(session.application.balancer_group, clock, view_of(scene, clock.moment))
        workspace = Workspace(
            session, watch, Config(file="config.toml", haproxy={}, apps={}), _launch, read_only
        )
        super().__init__(workspace, settings, applications=applications)
        self.animation_level = "none"

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        return lean(super().export_screenshot(title=title, simplify=True))


async def _launch(request: RolloutRequest) -> LaunchReply:
    return LaunchReply(status="refused", text="this is a frozen console")


def session_of(scene: Frame) -> Session:
    """A session on nodes and load balancers that are as in the scene."""
    clock = FrozenClock()
    balancers = [FrozenBalancer(name, scene) for name in BALANCERS]
    nodes = tuple(_node(machine, number) for number, machine in enumerate(scene.machines, 11))
    application = Application("shop", nodes, BalancerGroup(balancers, (BACKEND,)), scene.policy)
    bus = EventBus(clock)
    session = Session(application, bus, work_log=blank_work_log(bus), roll_back_after=roll_back_after)
    session.versions.by_node = {machine.name: machine.version for machine in scene.machines}
    return session


def view_of(scene: Frame, now: float) -> FleetView:
    """What a watch would have seen by then, in monotonic seconds."""
    return FleetView(tuple(_instance(scene, name, now) for name in BALANCERS))


def servers(scene: Frame, instance: str, look: int = 7) -> tuple[Server, ...]:
    """All machines as one load balancer sees them, at one of its last eight looks."""
    found = []
    for number, machine in enumerate(scene.machines, 11):
        share = [rate // 2 + (rate % 2 if instance == "lb1" else 0) for rate in machine.trend]
        state = STATES[machine.elsewhere.get(instance, machine.state)]
        fields: dict[str, object] = {
            "address": f"10.0.0.{number}",
            "sessions": (machine.sessions + (instance == "lb1")) // 2,
            "requests": 1_000_000 + sum(share[: look + 1]),
            "errors_5xx": machine.errors if look == 7 and instance == "lb1" else 0,
            "response_time": machine.response,
            "last_change": machine.since,
        }
        found.append(server(machine.name, instance, BACKEND, **(fields | dict(state))))
    return tuple(found)


def _instance(scene: Frame, name: str, now: float) -> BalancerView:
    looks = range(4, 8) if name == scene.reloaded else range(-1, 8)
    places = RowIndex([(BACKEND, machine.name) for machine in scene.machines])
    rates = Rates(places)
    for look in looks:
        rates = rates.with_sample(places, now - 7 + look, columns_of(servers(scene, name, look)))
    latest = servers(scene, name)
    silent = name == scene.silent
    return BalancerView(
        name=name,
        state="stale" if silent else "live",
        info=_info(name),
        level=scene.level,
        servers=latest,
        columns=columns_of(latest),
        rates=rates,
        read_at=now - 12 if silent else now,
        failing="connection refused" if silent else "",
        failing_since=now - 12 if silent else None,
        reloaded_at=now - 4 if name == scene.reloaded else None,
    )


def _info(name: str) -> Info:
    return Info(name, "2.6.12-1+deb12u1", pid=4711, uptime=86_400, stopping=False)


def _node(machine: Machine, number: int) -> Node:
    fake = FakeNode(machine.name, machine.version)
    fake.has_prefetch = True
    fake.healthy = machine.state != "down"
    return Node(
        name=machine.name,
        addresses=frozenset({f"10.0.0.{number}"}),
        port=8080,
        servers=(machine.name,),
        host=FakeHost(fake),
        service=_Monit(fake),
        port_probe=FakePort(fake),
        installer=_Apt(fake),
        health=FakeHealth(fake),
    )
