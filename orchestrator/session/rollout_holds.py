"""The servers that a rollout keeps out of rotation, of this process or of another one."""

from collections.abc import Iterator

from backends.model import ServerRef
from orchestrator.events.state import RolloutState
from orchestrator.session.session import Session


def describe_hold(session: Session, ref: ServerRef, node: str) -> str:
    """Describe which rollout has taken a server out of rotation, and what ends that.

    Args:
        session: of the application; it knows its own rollout, and one of another process.
        ref: the server.
        node: the name of its node.

    Returns:
        Such as "the rollout to 1.5.0, which puts it back"; empty when no rollout is known to.
    """
    for state, goes_on, who in _rollouts(session):
        status = state.nodes.get(node)
        if status is not None and status.keeps_out(ref.instance, ref.backend, ref.server):
            kind = "rollback" if state.kind == "rollback" else "rollout"
            by = f" of {who}" if who else ""
            then = "puts it back" if goes_on else "has left it out; `ready` ends it"
            return f"the {kind} to {state.version}{by}, which {then}"
    return ""


def _rollouts(session: Session) -> Iterator[tuple[RolloutState, bool, str]]:
    """Yield each rollout that is known, whether it goes on, and who runs it in another process."""
    own, active = session.state, session.active
    other = [(active.state, active.running, active.who)] if active is not None else []
    if session.is_rolling:
        yield own, True, ""
        yield from other
    else:
        yield from other
        yield own, False, ""
