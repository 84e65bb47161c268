"""Every command of an entry with its raw reply, as it was sent: to be read, searched and repeated by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from console.output.records import when
from console.output.text import clean, paint
from orchestrator.events.events import CommandFinished, CommandSending, Record
from orchestrator.journal.timeline import unanswered
from widgets.pieces import duration


@dataclass(frozen=True, slots=True)
class Command:
    """One that was sent; nothing in it is cleaned.

    Attributes:
        at: when it was sent, seconds since 1970.
        reply: None when none is written down.
        ok: whether it was understood and obeyed.
    """

    at: float
    node: str
    step: str
    target: str
    command: str
    reply: str | None
    ok: bool
    seconds: float


def commands(records: Sequence[Record]) -> Iterator[Command]:
    """In the order of their replies; one without a reply stands where it was sent."""
    lost = unanswered(records)
    for record in records:
        match record.event:
            case CommandFinished() as event:
                sent = record.at - event.duration_s
                where = (event.node, event.step, event.target, event.command)
                yield Command(sent, *where, event.reply, event.ok, event.duration_s)
            case CommandSending() as event if record.seq in lost:
                where = (event.node, event.step, event.target, event.command)
                yield Command(record.at, *where, None, False, 0.0)
            case _:
                pass


def transcript(records: Sequence[Record]) -> Iterator[str]:
    """Lines for a terminal: `>` was sent, `<` came back."""
    for each in commands(records):
        place = clean("".join(f"{part} " for part in (each.node, each.step) if part))
        mark = ">" if each.ok else paint("✗>", "bad")
        yield (
            f"{when(each.at, '%H:%M:%S.%f')[:-3]} {place}on {clean(each.target)}"
            f" {mark} {clean(each.command)}   ({duration(each.seconds)})"
        )
        for line in reply_lines(each):
            yield f"    < {clean(line)}"


def reply_lines(command: Command) -> list[str]:
    """What came back, line by line; words of ours in parentheses where nothing did."""
    if command.reply is None:
        return ["(no reply is written down)"]
    return command.reply.rstrip("\n").split("\n") if command.reply.strip() else ["(empty)"]
