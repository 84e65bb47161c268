"""A server as JSON fields; the same everywhere."""

from collections.abc import Sequence

from backends.model import Server, Snapshot
from orchestrator.events import SCHEMA
from orchestrator.request_errors import Look, Signals, in_all


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


def request_signals(snapshot: Snapshot) -> dict[tuple[str, str], Signals]:
    """What became of the requests of each server, by backend and server, since HAProxy began to count."""
    rows = {each.name: each.counters for each in snapshot.backends}
    return {
        (each.ref.backend, each.ref.server): in_all(Look(each.counters, rows.get(each.ref.backend)))
        for each in snapshot.servers
    }


def request_fields(signals: Signals) -> dict[str, object]:
    """For `--json`: `errors` is null in TCP mode, where they are not known."""
    return {"requests": signals.started, "errors": signals.hard, "refused": signals.refused}


def error_share(signals: Sequence[Signals]) -> str:
    """The share of requests that ended in an error for the client, in per cent; ? where it is not known."""
    known = [each for each in signals if each.hard is not None]
    if not known:
        return "?" if signals else "-"
    requests, errors = sum(each.started for each in known), sum(each.known for each in known)
    return f"{100 * errors / requests:.1f}" if requests else "-"
