"""The response times that `rolldeck status` shows: those of now, for which HAProxy is read twice."""

from collections.abc import Mapping, Sequence

from backends.model import Server, ServerRef, Snapshot
from orchestrator.balancers.response_times import ResponseTime, TimeReading, choose_response_time

MEASURED_S = 1.0  # between the two reads, of all applications together


def has_traffic(snapshots: Sequence[Snapshot]) -> bool:
    """Return whether any server had requests in the last second: else there is nothing to wait for."""
    return any(server.load.rate for snapshot in snapshots for server in snapshot.servers)


def find_response_times(
    before: Sequence[Snapshot], after: Sequence[Snapshot]
) -> dict[ServerRef, ResponseTime]:
    """Return the response time of each server, where it is known.

    Args:
        before: what was read a moment before.
        after: what was read last.
    """
    earlier = {server.ref: _read(server) for snapshot in before for server in snapshot.servers}
    found = {
        server.ref: choose_response_time(earlier.get(server.ref), _read(server))
        for snapshot in after
        for server in snapshot.servers
    }
    return {ref: time for ref, time in found.items() if time is not None}


def _read(server: Server) -> TimeReading:
    return TimeReading.of(server.counters, server.response_time)


def response_text(servers: Sequence[Server], times: Mapping[ServerRef, ResponseTime]) -> str:
    """Return the slowest of these in milliseconds; `~` marks HAProxy's average."""
    known = [times[server.ref] for server in servers if server.ref in times]
    slowest = max(known, default=None)
    return "-" if slowest is None else f"{'' if slowest.is_recent else '~'}{slowest.ms}"


def response_fields(time: ResponseTime | None) -> dict[str, object]:
    """Return the JSON fields of a response time; null when it is not known."""
    return {
        "response_ms": time.ms if time is not None else None,
        "response_is_recent": time.is_recent if time is not None else None,
    }
