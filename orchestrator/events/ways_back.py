"""The commands that put a node back in rotation: their kinds, and the lines that show them.

Decisions are made on the kind of a command, never on its words.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec

from backends.text import UNKNOWN_TIME, format_local_time


class OriginalStateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The administrative state of one server before its node was touched."""

    instance: str
    backend: str
    server: str
    admin: str
    weight: int
    agent: bool


CommandKind = Literal["ready", "upgrade", "prove", "by_hand"]
"""The kinds of commands: two of Rolldeck's own, one that makes HAProxy check the server anew, and others."""


class BackCommand(msgspec.Struct, frozen=True):
    """A command that puts a node back, as it is typed, with its kind."""

    kind: CommandKind
    text: str


class OutOfRotation(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is out of rotation, with its servers and the commands that put it back."""

    node: str
    servers: list[str]  # "shop/web1 on lb1: maint"
    intentional: bool  # an operator wants it out: since before the rollout, or, `by_others`, since then
    commands: list[BackCommand]  # the first one puts it back as it is now, proven
    rollback_command: str = ""  # brings a failed node back to the version that it had
    by_others: bool = False  # taken out by somebody else during the rollout, and left so
    by_agent: bool = False  # or by its agent check: HAProxy does not tell the two apart
    since: float = 0.0  # when it was taken out by others, seconds since 1970; 0 if unknown
    not_ready: str = ""  # why `rolldeck ready` cannot put it back as it is now; empty if it can
    stopped: bool = False  # because its service does not run, and `ready` would start nothing

    @property
    def command_texts(self) -> list[str]:
        return [command.text for command in self.commands]


class WayOn(msgspec.Struct, frozen=True, kw_only=True):
    """A command for a rollout that has not ended healthy."""

    purpose: Literal["resume", "rollback"]
    command: str


def make_ready_command(application: str, node: str) -> BackCommand:
    """Return the command of Rolldeck that proves the node and puts it back."""
    return BackCommand("ready", f"rolldeck ready {application} {node}")


@dataclass(frozen=True, slots=True)
class WaysBack:
    """The commands that put a node back.

    Attributes:
        own: Rolldeck's commands that can work now.
        manual: those of HAProxy and of service discovery, in order.
        awaits_health: one of the manual ones makes HAProxy check the server anew, which takes its time.
    """

    own: list[str]
    manual: list[str]
    awaits_health: bool


def find_ways_back(out: OutOfRotation) -> WaysBack:
    """Return what puts this node back. Where its service does not run, `rolldeck ready` is left out."""
    manual = [command for command in out.commands if command.kind in ("prove", "by_hand")]
    own = [command for command in out.commands if command not in manual]
    return WaysBack(
        [command.text for command in own if not (out.stopped and command.kind == "ready")],
        [command.text for command in manual],
        any(command.kind == "prove" for command in manual),
    )


WAY_ON_LABELS = {"resume": "to finish it:", "rollback": "to roll back:"}


@dataclass(frozen=True, slots=True)
class WayLine:
    """A line that shows how a node gets back.

    Attributes:
        kind: "refused" says why `rolldeck ready` would do nothing now, "rolldeck" is a command of ours,
            "heading" comes before the manual commands, "by_hand" is one of these.
        label: the words before the text; those of our commands end in one column.
        text: a command, or a reason; it is not cleaned.
    """

    kind: Literal["refused", "rolldeck", "heading", "by_hand"]
    label: str
    text: str = ""


def list_way_lines(out: OutOfRotation, *, blocked: bool = False) -> list[WayLine]:
    """Return the lines on how a node gets back, in the order in which to try them.

    Args:
        out: the node.
        blocked: no command of Rolldeck works now, such as without a journal, so that manual ones come first.
    """
    ways = find_ways_back(out)
    then = "once that is fixed, " if blocked else ""
    ready = [WayLine("rolldeck", f"{then}put back in rotation:", command) for command in ways.own]
    rollback = [WayLine("rolldeck", f"{then}roll back this node: ", out.rollback_command)]
    rollback = rollback if out.rollback_command else []
    if out.not_ready:
        own = [WayLine("refused", "`ready` would refuse it now:", out.not_ready), *rollback, *ready]
    else:
        own = [*ready, *rollback]
    manual = [WayLine("by_hand", "on", command) for command in ways.manual]
    if manual:
        wait = "; before ready, wait until it reads DRAIN with full health" if ways.awaits_health else ""
        manual.insert(0, WayLine("heading", f"manual commands, in order{wait}:"))
    return [*manual, *own] if blocked else [*own, *manual]


def describe_intention(out: OutOfRotation) -> str:
    """Describe why the node is meant to be out of rotation; empty if it is not."""
    if out.by_others:
        return f"kept out by {describe_others(by_agent=out.by_agent)}{format_since(out.since)}, untouched"
    return "as it was before" if out.intentional else ""


def describe_others(*, by_agent: bool) -> str:
    """Name who it was when it was not us. HAProxy does not tell an operator from an agent check."""
    return "somebody else, or its agent check," if by_agent else "somebody else"


def format_since(at: float) -> str:
    """Return ` since 14:05:12`, with the day unless it is today; empty for 0."""
    if not at:
        return ""
    same_day = format_local_time(at, "%Y-%m-%d") == format_local_time(_now(), "%Y-%m-%d")
    moment = format_local_time(at, "%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")
    return "" if moment == UNKNOWN_TIME else f" since {moment}"


def _now() -> float:
    return datetime.now(UTC).timestamp()
