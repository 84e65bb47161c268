"""Requests to a rollout on this machine: one line of JSON each, and one line back."""

from typing import Annotated, Literal

import msgspec

from backends.untrusted import MAX_NAME_CHARS, Name, check_printable, decode
from orchestrator.engine.facts import ImpactFacts
from orchestrator.engine.manual_change import Action
from orchestrator.engine.operator_requests import ControlAction

MAX_REQUEST_BYTES = 4 * 1024 * 1024  # a manual change of 10,000 nodes names each of their servers
MAX_REPLY_BYTES = 4 * 1024 * 1024

_Text = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request, as their process says; the kernel says with which uid.

    Attributes:
        name: `user@machine`.
        via: from where: a command, or a screen of the console.
        credential: as `orchestrator.events.actor.Actor` has it.
    """

    name: Name
    via: Literal["terminal", "console"] = "terminal"
    credential: Annotated[str, msgspec.Meta(max_length=4 * MAX_NAME_CHARS)] = ""

    def check(self) -> None:
        """Raise ValueError for texts that would move a cursor."""
        check_printable("name", self.name)
        check_printable("credential", self.credential)


class ControlLine(msgspec.Struct, frozen=True, kw_only=True, tag="control", forbid_unknown_fields=True):
    """A request to the rollout itself.

    Attributes:
        entry: of the journal, so that no other rollout is meant; 0 for any.
        subject: of the question that is answered: a node or a batch; empty for the only one.
        question: id of the question that is answered; empty if the sender does not know it.
    """

    what: ControlAction
    sender: Sender
    entry: int = 0
    subject: _Text = ""
    question: _Text = ""


class ChangeLine(msgspec.Struct, frozen=True, kw_only=True, tag="change", forbid_unknown_fields=True):
    """A manual change that is made within the rollout; see `orchestrator.engine.manual_change.Change`."""

    action: Action
    nodes: tuple[_Text, ...]
    weight: Annotated[int, msgspec.Meta(ge=0, le=256)]
    override: frozenset[_Text]
    shown: ImpactFacts
    sender: Sender
    reason: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    entry: int = 0


Line = ControlLine | ChangeLine


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request.

    Attributes:
        status: "changed": the impact of a manual change is another one now.
        text: why it was not accepted; empty when it was.
        servers: as a manual change has read them back, in words.
    """

    status: Literal["accepted", "refused", "changed", "failed"]
    text: str = ""
    servers: tuple[str, ...] = ()


def decode_line(line: bytes) -> Line:
    """Return a request. Raises ValueError if it is none."""
    request: Line = decode(line, Line)  # type: ignore[arg-type] # a union is no class
    request.sender.check()
    return request
