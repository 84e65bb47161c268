"""A server in words; the same everywhere."""

from backends.model import AdminState, Server


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
