"""Whether a load balancer lets states be changed, and what it takes where it does not."""

from backends.model import NEEDS_ADMIN, Level, Snapshot
from orchestrator.plan import Finding, Severity


def why_unchangeable(level: Level, read_only: str) -> str:
    """Why nothing can be changed through it, and what would make that possible; empty where it can.

    Args:
        level: of the socket.
        read_only: see `Snapshot.read_only`.
    """
    if read_only:
        return (
            f"is {read_only}, which can only be read: states are changed by HAProxy's Runtime API (`socket`"
            " instead of `stats_url`, with `level admin` at its `stats socket` in haproxy.cfg)"
        )
    if level is not Level.ADMIN:
        return f"the socket has level {level.name.lower()}; {NEEDS_ADMIN}"
    return ""


def judge_level(snapshot: Snapshot) -> list[Finding]:
    """An error where states cannot be changed."""
    why = why_unchangeable(snapshot.level, snapshot.read_only)
    return [Finding(Severity.ERROR, snapshot.info.instance, why)] if why else []
