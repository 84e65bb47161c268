"""The commands that put a node back in rotation, each with its kind: nothing is decided by their words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from orchestrator.events import CommandKind, OutOfRotation


class BackCommand(NamedTuple):
    """A command as it is typed, and what it is."""

    kind: CommandKind
    text: str


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


def with_commands(out: OutOfRotation, commands: Iterable[BackCommand]) -> OutOfRotation:
    """The same node with these commands instead of its own."""
    found = list(commands)
    return msgspec.structs.replace(
        out, commands=[command.text for command in found], kinds=[command.kind for command in found]
    )


def back_commands(out: OutOfRotation) -> list[BackCommand]:
    """The commands with their kinds; those of an event of an earlier Rolldeck, which had none, too."""
    kinds = out.kinds if len(out.kinds) == len(out.commands) else [_kind(text) for text in out.commands]
    return [BackCommand(kind, text) for kind, text in zip(kinds, out.commands, strict=True)]


def ways_back(out: OutOfRotation) -> WaysBack:
    """What puts this node back. Where its service does not run, `rolldeck ready` is left out."""
    commands = back_commands(out)
    by_hand = [command for command in commands if command.kind in ("prove", "by_hand")]
    own = [command for command in commands if command not in by_hand]
    return WaysBack(
        [command.text for command in own if not (out.stopped and command.kind == "ready")],
        [command.text for command in by_hand],
        any(command.kind == "prove" for command in by_hand),
    )


def _kind(text: str) -> CommandKind:
    """Of a command that an earlier Rolldeck has written down; they had no other sign than this."""
    if text.startswith("rolldeck "):
        return "ready" if text.startswith("rolldeck ready ") else "upgrade"
    return "prove" if "health down" in text else "by_hand"
