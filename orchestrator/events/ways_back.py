"""The commands that put a node back in rotation, each with its kind: nothing is decided by their words."""

from dataclasses import dataclass
from typing import Literal

import msgspec


class OriginalStateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What had been decided about one server before its node was touched."""

    instance: str
    backend: str
    server: str
    admin: str
    weight: int
    agent: bool


CommandKind = Literal["ready", "upgrade", "prove", "by_hand"]
"""Of a command that puts a node back: Rolldeck's own, one that makes HAProxy check it anew, or another."""


class BackCommand(msgspec.Struct, frozen=True):
    """A command that puts a node back, as it is typed, and what it is."""

    kind: CommandKind
    text: str


class OutOfRotation(msgspec.Struct, frozen=True, kw_only=True):
    """A node that does not take traffic, where, and what puts it back."""

    node: str
    servers: list[str]  # "shop/web1 on lb1: maint"
    intentional: bool  # somebody wants it so: as it was before the rollout, or, `by_others`, since then
    commands: list[BackCommand]  # the first one puts it back as it is now, proven
    rollback_command: str = ""  # brings a failed node back to the version that it had
    by_others: bool = False  # taken out by somebody else while the rollout went on, and left so
    by_agent: bool = False  # or by its agent check: HAProxy does not tell the two apart
    since: float = 0.0  # when it was taken out by others, seconds since 1970; 0: not known
    not_ready: str = ""  # why `rolldeck ready` cannot put it back as it is now, as was seen; empty: it can
    stopped: bool = False  # because its service does not run, and `ready` would start nothing

    @property
    def command_texts(self) -> list[str]:
        return [command.text for command in self.commands]


class WayOn(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done about a rollout that has not ended well."""

    purpose: Literal["resume", "rollback"]
    command: str


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
