"""Values that cross rooms: what load balancers, hosts and services say. Frozen, with derivations only."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Admin(enum.IntFlag):
    """HAProxy's `srv_admin_state`, a decimal bit field (management guide, "show servers state")."""

    NONE = 0
    FORCED_MAINT = 1
    INHERITED_MAINT = 2
    CONFIG_MAINT = 4  # "disabled" in the configuration; alone it is NOT maintenance
    FORCED_DRAIN = 8
    INHERITED_DRAIN = 16
    RESOLUTION_MAINT = 32
    FQDN_CHANGED = 64


class AdminState(enum.StrEnum):
    """The administrative axis: what somebody decided, as opposed to how the server is."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class Operational(enum.IntEnum):
    """HAProxy's `srv_op_state`: how the server is, as opposed to what somebody decided."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3


class Level(enum.IntEnum):
    """What a connection to the Runtime API may do. Only `ADMIN` can change a server's state."""

    USER = 0
    OPERATOR = 1
    ADMIN = 2


NEEDS_ADMIN = "changing states needs admin (`level admin` at its `stats socket` in haproxy.cfg)"


@dataclass(frozen=True, slots=True, order=True)
class ServerRef:
    """One server line of one backend on one load balancer."""

    instance: str  # the load balancer's name in our configuration
    backend: str
    server: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.server} on {self.instance}"


class RequestCounters(NamedTuple):
    """What one row of `show stat` has counted of requests, in HAProxy's own words behind each.

    All up to `in_flight` only grow, until HAProxy begins again or somebody clears them. What they
    mean together for the clients is in `orchestrator.balancers.request_errors`. A tuple, as there may be
    ten thousand.
    """

    total: int = 0  # stot: also each attempt that was retried or given to another server
    answered: int = 0  # req_tot without hrsp_1xx: responses that were begun, without those on the way to one
    informational: int = 0  # hrsp_1xx: 100 and 103, and 101 of a WebSocket
    answered_5xx: int = 0  # hrsp_5xx; of a server what it said itself, of a backend what clients were told
    refused: int = 0  # econ: no connection after all attempts
    broken: int = 0  # eresp: no response, or half of one; some HAProxies count some of these twice
    retries: int = 0  # wretr; those of `retry-on` are counted twice
    redispatches: int = 0  # wredis: given to another server
    client_aborts: int = 0  # cli_abrt
    server_aborts: int = 0  # srv_abrt: broken off in the middle of a response
    in_flight: int = 0  # scur
    http: bool = True  # False in TCP mode, where nothing is known of responses
    doubtful_aborts: bool = False  # of a backend: srv_abrt may count a request that had no response (3.2)

    @property
    def requests(self) -> int:
        """Sent to it, without those that went to another server in the end; sessions in TCP mode."""
        return max(self.answered + self.refused, self.total - self.redispatches - self.retries)


NOTHING_COUNTED = RequestCounters()


def _admin_state(admin: Admin) -> AdminState:
    if admin & (Admin.FORCED_MAINT | Admin.INHERITED_MAINT | Admin.RESOLUTION_MAINT):
        return AdminState.MAINT
    if admin & (Admin.FORCED_DRAIN | Admin.INHERITED_DRAIN):
        return AdminState.DRAIN
    return AdminState.READY


@dataclass(frozen=True, slots=True)
class Server:
    """One server as one HAProxy sees it now. Counters restart at 0 when HAProxy reloads."""

    ref: ServerRef
    address: str  # empty when the socket's level hides it
    port: int  # 0 when hidden, not set, or computed for each connection; "+1000" reads as 1000
    admin: Admin
    operational: Operational
    status: str  # the CSV's words: "UP", "UP 1/3", "DRAIN", "MAINT (via be/srv)", "no check" ...
    weight: int  # set by the configuration or by `set server ... weight`
    initial_weight: int  # of the configuration
    effective_weight: int  # what counts now: the slow-start ramp is in it
    has_checks: bool  # HAProxy runs health checks on it
    check_status: str  # "L7OK", "L4CON" ...; empty when there are no checks
    check_health: int
    check_rise: int
    check_fall: int
    check_code: str  # what it answered, such as "200"; empty when nothing was, or for a connection alone
    check_duration: int | None  # of the last check, milliseconds; None before the first one
    check_failures: int  # failed checks while it was up
    last_check: str  # the last check's own words
    agent: bool  # an agent check is configured and enabled
    agent_configured: bool  # there is one, perhaps switched off now
    agent_status: str  # "L7OK", "L7STS" (it says down), "CHECKED" (it spoke of something else) ...
    last_agent: str  # the agent's own words; empty in 2.2, and when it says nothing of health
    track_target: str  # "backend/server" whose health it follows; empty when none
    backup: bool
    cookie: str
    sessions: int  # streams in flight; idle keep-alive connections do not count
    queue: int
    throttle: int | None  # slow start in per cent while it lasts, else None
    last_change: int  # seconds since the operational state last changed
    counters: RequestCounters
    response_time: int | None  # decayed average, milliseconds
    host_name: str = ""  # that HAProxy resolves for it; empty when it has an address of its own
    srv_record: str = ""  # that names its host and port; empty when none does
    empty_slot: bool = False  # a line that name resolution, or a controller, has not filled: no server

    @property
    def admin_state(self) -> AdminState:
        """The administrative state; `maint` outranks `drain` as in HAProxy."""
        return _admin_state(self.admin)

    @property
    def own_admin_state(self) -> AdminState:
        """The same without what it inherits from a server that it tracks, and what ends with that."""
        return _admin_state(self.admin & ~(Admin.INHERITED_MAINT | Admin.INHERITED_DRAIN))

    @property
    def full_health(self) -> int:
        """The value of `check_health` that means "nothing left to prove"."""
        return self.check_rise + self.check_fall - 1

    @property
    def checks_passed(self) -> bool:
        """HAProxy's own checks found it in full health. False for a server without checks.

        With `slowstart` it is STARTING then, also in DRAIN: waiting for RUNNING there would use the ramp
        up before any traffic comes.
        """
        return (
            self.has_checks
            and self.operational in (Operational.STARTING, Operational.RUNNING)
            and self.check_health == self.full_health
            and self.status in ("UP", "DRAIN", "DRAIN (agent)", "NOLB")
        )

    @property
    def receives_traffic(self) -> bool:
        """New traffic goes there now, whether or not it has proven its health."""
        return (
            self.admin_state is AdminState.READY
            and self.operational in (Operational.STARTING, Operational.RUNNING)
            and self.effective_weight > 0
        )

    @property
    def in_rotation(self) -> bool:
        """It takes its full share of new traffic: ready, in full health, with a weight, not ramping up."""
        healthy = self.checks_passed if self.has_checks else self.operational is Operational.RUNNING
        return (
            self.admin_state is AdminState.READY
            and healthy
            and self.status in ("UP", "no check")
            and self.effective_weight > 0
            and self.throttle is None
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """One session in flight: a request, or a TCP connection, from a client to a server."""

    ref: ServerRef
    client: str  # address and port; "unix:2" for a unix socket, "unknown" for one of HAProxy's own
    frontend: str
    age: int | None  # seconds since it began; None when HAProxy does not say
    silence_left: int | None  # seconds without a byte after which HAProxy ends it; None: no limit now


@dataclass(frozen=True, slots=True)
class Sessions:
    """What is in flight on one server, as far as it is of use to see."""

    total: int
    oldest: tuple[Stream, ...]  # the oldest first; perhaps not all


@dataclass(frozen=True, slots=True)
class Backend:
    """One HAProxy backend; `algorithm` and `cookie` are empty when the socket's level hides them."""

    name: str
    mode: str  # "http" or "tcp"
    algorithm: str
    cookie: str
    counters: RequestCounters = NOTHING_COUNTED  # of the row of the backend itself


@dataclass(frozen=True, slots=True)
class Persistence:
    """What keeps clients of one backend on their servers, by HAProxy's configuration.

    Attributes:
        by: such as `cookie "SRV"` or "stick table"; never empty.
        in_maintenance: what sends them to a server in maintenance too, "option persist" or "force-persist";
            empty when maintenance moves them.
    """

    by: tuple[str, ...]
    in_maintenance: str = ""


@dataclass(frozen=True, slots=True)
class Info:
    """Of `show info`: who answers, and since when."""

    instance: str
    version: str
    pid: int  # a changed pid is a reload: states set at run time may be lost
    uptime: int  # seconds
    stopping: bool  # an old worker finishing its connections
    node: str = ""  # HAProxy's name for its machine
    processes: int = 1  # that serve side by side (`nbproc`), each with states of its own
    process: int = 1  # which of them answers, from 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one load balancer said at one moment."""

    info: Info
    level: Level
    backends: tuple[Backend, ...]
    servers: Sequence[Server]  # a tuple, or built one by one: there may be thousands
    read_only: str = ""  # why nothing can be changed through it, whatever the level: "a statistics page"


class Activity(enum.StrEnum):
    """What a service manager says of a service."""

    RUNNING = "running"
    STOPPED = "stopped"
    CHANGING = "changing"  # an action is pending or under way
    FAILED = "failed"  # it has given up


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as its manager sees it; only together with port and process is it the truth."""

    activity: Activity
    pid: int | None  # of the main process while it is known
    detail: str  # the manager's own words
    retrying: bool = False  # it has died or did not start, and its manager starts it again
    unwatched: str = ""  # why its manager does nothing for it now, and what ends that, in words
    stopping: bool = False  # it is being stopped: it may answer well, and be killed at any moment
    self_checked: bool = False  # its manager checks its health, without which it is not `RUNNING`


@dataclass(frozen=True, slots=True)
class Registered:
    """A node as a service discovery, such as Consul, has it registered.

    Attributes:
        exists: the node is registered.
        maintenance: the reason of its maintenance there, as whoever enabled it wrote it; empty without one.
        set_by_rollout: a rollout of Rolldeck enabled that maintenance, and a rollout may end it.
        set_manually: a manual change of Rolldeck enabled it.
        failing_checks: the registry's own checks that do not pass, as text; maintenance is not among them.
    """

    exists: bool
    maintenance: str = ""
    set_by_rollout: bool = False
    set_manually: bool = False
    failing_checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthResult:
    """The result of one health check. `ok` is False for everything that could not be measured."""

    ok: bool
    detail: str  # "200 OK", "connection refused", "status is DOWN, expected UP" ...
    version: str | None = None  # the version that runs, when the check reads one
