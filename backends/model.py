"""What load balancers report, as frozen values that all packages share."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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
    """The administrative state: what somebody decided about a server, whatever its health."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class Operational(enum.IntEnum):
    """HAProxy's `srv_op_state`: how the server is, whatever somebody decided."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3


class Level(enum.IntEnum):
    """The level of a connection to the Runtime API. Only `ADMIN` can change the state of a server."""

    USER = 0
    OPERATOR = 1
    ADMIN = 2


NEEDS_ADMIN = "changing states needs admin (`level admin` at its `stats socket` in haproxy.cfg)"


@dataclass(frozen=True, slots=True, order=True)
class ServerRef:
    """One server line of one backend on one load balancer."""

    instance: str  # name of the load balancer in the configuration of Rolldeck
    backend: str
    server: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.server} on {self.instance}"


class RequestCounters(NamedTuple):
    """The request counters of one row of `show stat`; a comment names HAProxy's column.

    All counters before `in_flight` only grow, until HAProxy restarts or somebody clears them. What clients
    experienced is derived from them in `orchestrator.balancers.request_errors`. This is a tuple because there
    may be ten thousand.
    """

    total: int = 0  # stot: includes attempts that were retried or redispatched
    answered: int = 0  # req_tot without hrsp_1xx: responses that began, except informational ones
    informational: int = 0  # hrsp_1xx: 100, 103, and 101 of a WebSocket
    answered_5xx: int = 0  # hrsp_5xx: of a server its own responses, of a backend those that clients received
    refused: int = 0  # econ: requests without a connection after all attempts
    broken: int = 0  # eresp: missing or incomplete responses; some versions of HAProxy count some twice
    retries: int = 0  # wretr: retries; those of `retry-on` count twice
    redispatches: int = 0  # wredis: requests passed to another server
    client_aborts: int = 0  # cli_abrt
    server_aborts: int = 0  # srv_abrt: responses that the server broke off
    in_flight: int = 0  # scur
    http: bool = True  # False in TCP mode, in which responses are unknown
    doubtful_aborts: bool = False  # srv_abrt of a backend may include requests without a response (3.2)

    @property
    def requests(self) -> int:
        """Requests that were sent here and not to another server in the end; in TCP mode sessions."""
        return max(self.answered + self.refused, self.total - self.redispatches - self.retries)


NOTHING_COUNTED = RequestCounters()


class Load(NamedTuple):
    """How much one row of `show stat` carries and has carried; a comment names HAProxy's column.

    A session is a request in HTTP mode, and a connection in TCP mode.
    """

    rate: int = 0  # rate: new sessions in the last second
    rate_max: int = 0  # rate_max: the most new sessions in one second since HAProxy began to count
    sessions_max: int = 0  # smax: the most sessions in flight at once
    session_limit: int | None = None  # slim: `maxconn`, beyond which requests wait; None without a limit


NO_LOAD = Load()


@lru_cache(maxsize=256)  # a plan of hundreds of nodes asks a million times, and flags are slow
def _find_admin_state(admin: Admin) -> AdminState:
    if admin & (Admin.FORCED_MAINT | Admin.INHERITED_MAINT | Admin.RESOLUTION_MAINT):
        return AdminState.MAINT
    if admin & (Admin.FORCED_DRAIN | Admin.INHERITED_DRAIN):
        return AdminState.DRAIN
    return AdminState.READY


@dataclass(frozen=True, slots=True)
class Server:
    """One server as one HAProxy reports it. Counters restart at 0 when HAProxy reloads."""

    ref: ServerRef
    address: str  # empty when the socket's level hides it
    port: int  # 0 when hidden, not set, or computed for each connection; "+1000" reads as 1000
    admin: Admin
    operational: Operational
    status: str  # as in `show stat`: "UP", "UP 1/3", "DRAIN", "MAINT (via be/srv)", "no check" ...
    weight: int  # set by the configuration or by `set server ... weight`
    initial_weight: int  # of the configuration
    effective_weight: int  # the weight in use now, which includes the slow-start ramp
    has_checks: bool  # HAProxy runs health checks of this server
    check_status: str  # "L7OK", "L4CON" ...; empty when there are no checks
    check_health: int
    check_rise: int
    check_fall: int
    check_code: str  # its answer, such as "200"; empty without an answer, or for a mere connection
    check_duration: int | None  # of the last check, milliseconds; None before the first one
    check_failures: int  # failed checks while the server was up
    last_check: str  # the text of the last check
    agent: bool  # an agent check is configured and enabled
    agent_configured: bool  # an agent check is configured, perhaps disabled now
    agent_status: str  # "L7OK", "L7STS" (down), "CHECKED" (an answer about something else) ...
    last_agent: str  # the agent's text; empty in 2.2, and when the agent reports no health
    track_target: str  # "backend/server" whose health this server follows; empty without one
    backup: bool
    cookie: str
    sessions: int  # streams in flight; idle keep-alive connections do not count
    queue: int
    throttle: int | None  # slow start in per cent while it lasts, else None
    last_change: int  # seconds since the operational state last changed
    counters: RequestCounters
    response_time: int | None  # decayed average, milliseconds
    host_name: str = ""  # the name that HAProxy resolves; empty when the address is fixed
    srv_record: str = ""  # the DNS record that names host and port; empty without one
    empty_slot: bool = False  # a line that name resolution, or a controller, has not filled
    load: Load = NO_LOAD

    @property
    def admin_state(self) -> AdminState:
        """The administrative state; `maint` outranks `drain` as in HAProxy."""
        return _find_admin_state(self.admin)

    @property
    def own_admin_state(self) -> AdminState:
        """The administrative state without what the server inherits from a server that it tracks."""
        return _find_admin_state(self.admin & ~(Admin.INHERITED_MAINT | Admin.INHERITED_DRAIN))

    @property
    def full_health(self) -> int:
        """The value of `check_health` in full health."""
        return self.check_rise + self.check_fall - 1

    @property
    def checks_passed(self) -> bool:
        """Whether HAProxy's own checks found the server in full health. False without checks.

        With `slowstart` such a server is STARTING, also in DRAIN: a wait for RUNNING would use up the ramp
        before any traffic arrives.
        """
        return (
            self.has_checks
            and self.operational in (Operational.STARTING, Operational.RUNNING)
            and self.check_health == self.full_health
            and self.status in ("UP", "DRAIN", "DRAIN (agent)", "NOLB")
        )

    @property
    def receives_traffic(self) -> bool:
        """Whether the server receives new traffic now, in full health or not."""
        return (
            self.admin_state is AdminState.READY
            and self.operational in (Operational.STARTING, Operational.RUNNING)
            and self.effective_weight > 0
        )

    @property
    def open_sessions(self) -> int:
        """Sessions that have not ended: those in flight, and requests that wait in its queue."""
        return self.sessions + self.queue

    @property
    def in_rotation(self) -> bool:
        """Whether it receives its full share of new traffic: ready, healthy, weighted, not ramping up."""
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
    client: str  # address and port; "unix:2" for a unix socket, "unknown" for HAProxy itself
    frontend: str
    age: int | None  # seconds since it began; None when HAProxy does not report it
    silence_left: int | None  # seconds without a byte after which HAProxy ends it; None: no limit now


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions in flight on one server."""

    total: int
    oldest: tuple[Stream, ...]  # the oldest first; perhaps not all


class ListedSession(NamedTuple):
    """One session in flight, with what a forecast or its orderly end needs; there may be thousands."""

    backend: str
    server: str
    id: str  # by which HAProxy ends it, such as "0x7f1840015b40"; it may get a new owner once this one ends
    age: int | None  # seconds since it began; None when HAProxy does not report it


@dataclass(frozen=True, slots=True)
class SessionList:
    """The sessions in flight on some servers of one load balancer."""

    sessions: tuple[ListedSession, ...]
    complete: bool = True  # False: there are so many that the rest was not read


HASH_ALGORITHMS = ("source", "uri", "url_param", "hdr", "rdp-cookie", "hash")
"""Algorithms that choose a server by something in the request, as `show stat` calls them."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One HAProxy backend; `algorithm` and `cookie` are empty when the socket's level hides them."""

    name: str
    mode: str  # "http" or "tcp"
    algorithm: str
    cookie: str
    counters: RequestCounters = NOTHING_COUNTED  # from the row of the backend itself
    queue: int = (
        0  # requests that wait for any server of it; those that wait for one server are counted there
    )
    response_time: int | None = None  # decayed average over its servers, milliseconds


@dataclass(frozen=True, slots=True)
class Persistence:
    """What keeps clients of one backend on their servers, according to HAProxy's configuration.

    Attributes:
        by: the mechanisms, such as `cookie "SRV"` or "stick table"; never empty.
        in_maintenance: the option that sends clients even to a server in maintenance, "option persist" or
            "force-persist"; empty when maintenance moves them.
    """

    by: tuple[str, ...]
    in_maintenance: str = ""


@dataclass(frozen=True, slots=True)
class Info:
    """`show info`: which process answers, and since when it runs."""

    instance: str
    version: str
    pid: int  # a changed pid is a reload: states set at run time may be lost
    uptime: int  # seconds
    stopping: bool  # an old worker finishing its connections
    node: str = ""  # HAProxy's name for its machine
    processes: int = 1  # that serve side by side (`nbproc`), each with states of its own
    process: int = 1  # the number of the one that answers, from 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one load balancer reported at one moment."""

    info: Info
    level: Level
    backends: tuple[Backend, ...]
    servers: Sequence[Server]  # a tuple, or built one by one: there may be thousands
    read_only: str = ""  # why nothing can be changed, whatever the level: "a statistics page"
