"""A server as JSON fields; the same everywhere."""

from backends.model import Server
from orchestrator.events import SCHEMA


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
