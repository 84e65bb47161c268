"""Servers, and what became of requests, in words; the same everywhere."""

from backends.model import AdminState, Server
from backends.text import counted
from orchestrator.events import Baked, Traffic
from orchestrator.request_errors import ENOUGH


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


def bake_words(baked: Baked) -> str:
    """What a bake has proven: `baked with 120 requests, no errors, 3 not attributable`."""
    return _baked(baked) + (f", {baked.unattributed:,} not attributable" if baked.unattributed else "")


def _baked(baked: Baked) -> str:
    if baked.errors is None and baked.requests:
        refused = f", {baked.refused:,} refused" if baked.refused else ""
        return f"baked with {counted(baked.requests, 'session')}{refused}: errors unknown in TCP mode"
    found = f"baked with {counted(baked.requests, 'request' if baked.errors is not None else 'session')}"
    if baked.errors:
        return f"{found}, {counted(baked.errors, 'error')}"
    if baked.requests < ENOUGH:
        few = f", fewer than {ENOUGH}" if baked.requests else ""
        return f"{found}{few}: nothing proven"
    return f"{found}, no errors"


def traffic_words(traffic: Traffic) -> str:
    """What clients were given: `1,204 requests, 3 errors, 2 not attributable`."""
    unknown = ", ".join(traffic.unknown)
    if traffic.errors is not None:
        errors = counted(traffic.errors, "error")
        errors += f", errors unknown in TCP mode: {unknown}" if unknown else ""
    else:
        errors = (
            f"errors unknown in TCP mode: {unknown}"
            if unknown
            else f"{counted(traffic.errors_5xx, 'error')} (5xx only)"
        )
    parts = [counted(traffic.served, "request"), errors]
    parts += [f"{traffic.unattributed:,} not attributable"] if traffic.unattributed else []
    if traffic.gaps:
        parts.append("without the moment before counters began again")
    return ", ".join(parts)
