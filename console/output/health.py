"""A server in words and as JSON fields; the same everywhere."""

from backends.model import AdminState, Server
from orchestrator.events import SCHEMA


def health(server: Server) -> str:
    """The operational axis in words, never mixed with what somebody decided."""
    if server.admin_state is AdminState.MAINT:
        return "-"  # nothing checks it
    if not server.checked and not server.tracks:
        return "no check"
    if server.in_rotation or server.proven:
        return "▲ up"
    if server.throttle is not None:
        return f"△ slow start {server.throttle} %"
    if server.status.startswith(("UP", "DRAIN", "NOLB")):
        return f"△ {server.check_health}/{server.full_health} {server.check_status}".rstrip()
    return f"▼ {server.check_status or server.status}"


def server_fields(app: str, server: Server) -> dict[str, object]:
    """One server for `--json`."""
    return {
        "schema": SCHEMA,
        "kind": "server",
        "application": app,
        "load_balancer": server.ref.instance,
        "backend": server.ref.backend,
        "server": server.ref.server,
        "address": server.address,
        "port": server.port,
        "admin": server.admin_state.value,
        "operational": server.operational.name.lower(),
        "status": server.status,
        "check": server.check_status,
        "in_rotation": server.in_rotation,
        "weight": server.weight,
        "effective_weight": server.effective_weight,
        "sessions": server.sessions,
        "queue": server.queue,
        "last_change": server.last_change,
    }
