"""A server as JSON fields; the same everywhere."""

from collections import Counter
from collections.abc import Mapping, Sequence

from backends.model import Server, Snapshot
from backends.text import counted
from orchestrator.balancers.request_errors import Sample, Signals, in_all


def server_fields(app: str, server: Server) -> dict[str, object]:
    """One server for `--json`."""
    return {
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
        (each.ref.backend, each.ref.server): in_all(Sample(each.counters, rows.get(each.ref.backend)))
        for each in snapshot.servers
    }


def unattributed(snapshot: Snapshot) -> dict[str, int | None]:
    """Responses 5xx of each backend that no server explains, since HAProxy began to count.

    None in TCP mode, where errors are not known.
    """
    told = Counter[str]()
    for (backend, _), found in request_signals(snapshot).items():
        told[backend] += found.told
    return {
        backend.name: max(0, rows.answered_5xx - told[backend.name]) if rows.http else None
        for backend in snapshot.backends
        for rows in (backend.counters,)
    }


def unattributed_text(found: Mapping[str, Mapping[str, int | None]]) -> str:
    """`5 errors not attributable to a server (shop on lb1: 2, shop on lb2: 3)`; empty when there are none.

    Args:
        found: by load balancer, see `unattributed`.
    """
    places = {
        f"{backend} on {instance}": count
        for instance, backends in found.items()
        for backend, count in backends.items()
        if count
    }
    if not places:
        return ""
    listed = ", ".join(f"{place}: {count:,}" for place, count in places.items())
    return f"{counted(sum(places.values()), 'error')} not attributable to a server ({listed})"


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
