"""The commands that put a node back in rotation, each with its kind: nothing is decided by their words."""

from dataclasses import dataclass

from orchestrator.events.events import BackCommand, OutOfRotation


def ready_command(application: str, node: str) -> BackCommand:
    """Rolldeck's own, which proves the node before it puts it back."""
    return BackCommand("ready", f"rolldeck ready {application} {node}")


@dataclass(frozen=True, slots=True)
class WaysBack:
    """What puts a node back.

    Attributes:
        own: Rolldeck's commands that can work now.
        by_hand: those of HAProxy and of a registry, in order.
        awaits_health: one of these by hand makes HAProxy check the server anew, which has to be waited for.
    """

    own: list[str]
    by_hand: list[str]
    awaits_health: bool


def ways_back(out: OutOfRotation) -> WaysBack:
    """What puts this node back. Where its service does not run, `rolldeck ready` is left out."""
    by_hand = [command for command in out.commands if command.kind in ("prove", "by_hand")]
    own = [command for command in out.commands if command not in by_hand]
    return WaysBack(
        [command.text for command in own if not (out.stopped and command.kind == "ready")],
        [command.text for command in by_hand],
        any(command.kind == "prove" for command in by_hand),
    )
