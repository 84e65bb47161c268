"""Builders of Runtime API commands: pure functions that return one line, which HAProxy cannot misread.

See "set server", "disable agent", "show stat", "show servers state" in HAProxy's management guide.
"""

import re
from collections.abc import Collection, Sequence

from backends.errors import RolldeckError
from backends.model import ServerRef

SEPARATOR = "; "

_SAFE = re.compile(r"[A-Za-z0-9_.:-]+")
_WEIGHT = re.compile(r"([0-9]{1,3})(%?)")
_SESSION = re.compile(r"0x[0-9a-f]{1,16}")
_MAX_BACKENDS_PER_LINE = 20  # backends on one line; HAProxy's input buffer holds 16 kB


class UnsafeCommand(RolldeckError, ValueError):
    """A name or value that will not be sent, because HAProxy could take it for something else."""


def is_safe(ref: ServerRef) -> bool:
    """Return whether commands can be built for this server at all; see `UnsafeCommand`."""
    return all(_SAFE.fullmatch(name) for name in (ref.backend, ref.server))


def drain(ref: ServerRef) -> str:
    """Stop new balanced traffic; clients with a persistence cookie still come. Checks go on."""
    return f"set server {_server_path(ref)} state drain"


def maint(ref: ServerRef) -> str:
    """Stop all traffic and health checks; requests in flight are not cut."""
    return f"set server {_server_path(ref)} state maint"


def ready(ref: ServerRef) -> str:
    """Return the server to what its checks say. Out of maintenance that is "UP" at once: see `prove`."""
    return f"set server {_server_path(ref)} state ready"


def prove(ref: ServerRef) -> str:
    """Leave maintenance safely: checks run, and only they can bring the server up again.

    It is not for a server without checks, which would stay down, and a tracking server refuses it.
    """
    return SEPARATOR.join((drain(ref), f"set server {_server_path(ref)} health down"))


def weight(ref: ServerRef, value: str) -> str:
    """Set the weight.

    Args:
        ref: the server.
        value: absolute, ``"0"`` to ``"256"``, or of the initial weight, ``"0%"`` to ``"100%"``.
    """
    match = _WEIGHT.fullmatch(value)
    if match is None or int(match[1]) > (100 if match[2] else 256):
        raise UnsafeCommand(f"weight {value!r} is neither 0 to 256 nor 0% to 100%")
    return f"set server {_server_path(ref)} weight {value}"


def agent_off(ref: ServerRef) -> str:
    """Stop the agent check, which could put the server back in rotation during maintenance."""
    return f"disable agent {_server_path(ref)}"


def agent_on(ref: ServerRef) -> str:
    """Start the agent check again; has no effect on a server without one."""
    return f"enable agent {_server_path(ref)}"


def shutdown_sessions(ref: ServerRef) -> str:
    """Cut every session in flight: an explicit choice of the operator, never a default."""
    return f"shutdown sessions server {_server_path(ref)}"


def shutdown_listed(ids: Sequence[str]) -> str:
    """Cut these sessions, by the ids that `show sess` has just shown; one that has ended is refused."""
    for session in ids:
        if not _SESSION.fullmatch(session):
            raise UnsafeCommand(f"{session!r} is no id of a session")
    return SEPARATOR.join(f"shutdown session {session}" for session in ids)


def snapshot(backends: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the reads for one snapshot: info, level, then servers state and stat for each group.

    Args:
        backends: their names; all backends when empty.
    """
    named = 0 < len(backends) <= _MAX_BACKENDS_PER_LINE
    groups = [(name, name) for name in map(_check_name, backends)] if named else [("", "-1")]
    reads = ["show info", "show cli level"]
    for state, stat in groups:
        reads.append(f"show servers state {state}".rstrip())
        reads.append(f"show stat {stat} 6 -1")  # 6: backends (2) and servers (4)
    return tuple(reads)


def sessions(ref: ServerRef) -> str:
    """Read the sessions on one server; needs level operator. Before 3.2 HAProxy shows all sessions."""
    return f"show sess server {_server_path(ref)}"


def listed_sessions(servers: Collection[tuple[str, str]]) -> str:
    """Read the sessions on these servers, by backend and name; needs level operator.

    An empty name means all servers of the backend.
    Since 3.2 HAProxy can select those of one server or backend; before, and for more, it shows all.
    """
    if len(servers) == 1:
        ((backend, server),) = servers
        if server:
            return f"show sess server {_check_name(backend)}/{_check_name(server)}"
    backends = {backend for backend, _ in servers}
    return f"show sess backend {_check_name(*backends)}" if len(backends) == 1 else all_sessions()


def all_sessions() -> str:
    """Read the sessions on all servers; needs level operator."""
    return "show sess"


def processes() -> str:
    """Read what the master runs; only a master socket knows this, and it takes it without a prefix."""
    return "show proc"


def of_worker(pid: int, read: str) -> str:
    """Address a read to one worker of a master, by its process id."""
    return f"@!{pid} {read}"


def server_statistics() -> str:
    """Read the statistics of all servers."""
    return "show stat -1 4 -1"  # 4: servers


def config_files() -> str:
    """Read which configuration files HAProxy was started with; needs level operator."""
    return "show env HAPROXY_CFGFILES"


def _server_path(ref: ServerRef) -> str:
    return f"{_check_name(ref.backend)}/{_check_name(ref.server)}"


def _check_name(name: str) -> str:
    if not _SAFE.fullmatch(name):
        raise UnsafeCommand(
            f"the name {name!r} will not be sent to HAProxy: only A-Z a-z 0-9 _ . : - are safe"
        )
    return name
