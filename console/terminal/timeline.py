"""The timeline of an entry, and its transcript: every command with its raw reply."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backends.text import format_duration, format_local_time
from console.terminal.output import clean, paint
from orchestrator.events import events
from orchestrator.events.base import Event
from orchestrator.events.events import CommandFinished, CommandSending, Record
from orchestrator.events.spans import StepSpan
from orchestrator.events.text import describe, list_details
from orchestrator.events.timeline import Timeline, find_unanswered

MIN_WAIT_SHOWN_S = 1.0  # shorter waits are shown only if something went wrong
ROLLOUT = ""
"""The section of the rollout itself, for what concerns no single node."""

_KINDS: dict[type[Event], str] = {
    events.NodeUpgraded: "ok",
    events.NodeRolledBack: "ok",
    events.NodeFailed: "bad",
    events.NodePutBack: "note",
    events.DecisionRequested: "question",
    events.DecisionMade: "question",
    events.Paused: "pause",
    events.Resumed: "pause",
    events.AbortRequested: "bad",
    events.WaitCut: "question",
    events.NodeNote: "note",
    events.Unreadable: "bad",
}
_SPANS = {"done": "ok", "same": "same", "failed": "bad", "interrupted": "bad", "open": "open"}
GLYPHS = {
    "ok": "✓",
    "same": "·",
    "bad": "✗",
    "open": "◐",
    "question": "?",
    "pause": "‖",
    "note": "!",
    "event": "·",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A line of the timeline.

    Attributes:
        seq: its position among all lines.
        at: seconds since 1970.
        kind: a key of GLYPHS.
        step: that was done or tried; empty for everything else.
        took: its duration, as text.
        text: its result, which is not cleaned.
        more: what it waited for, and the last lines of the service's log after a failure.
    """

    seq: int
    at: float
    kind: str
    text: str
    step: str = ""
    took: str = ""
    more: tuple[str, ...] = ()


def entries_by_node(timeline: Timeline) -> dict[str, list[TimelineEntry]]:
    """Return the timeline of each node in the order of the rollout, after that of the rollout itself."""
    sections: dict[str, list[TimelineEntry]] = {ROLLOUT: [], **{name: [] for name in timeline.nodes}}
    for span in timeline.spans:
        sections[span.node].append(_step_entry(span))
    for record in timeline.notes:
        moment = _note_entry(record)
        if moment is not None:
            node = _node_name(record.event)
            sections[node if node in sections else ROLLOUT].append(moment)
    for moments in sections.values():
        moments.sort(key=lambda moment: moment.seq)
    return {name: moments for name, moments in sections.items() if moments}


def _node_name(event: events.AnyEvent) -> str:
    name: str = getattr(event, "node", "") or getattr(event, "subject", "")
    return name


def _step_entry(span: StepSpan) -> TimelineEntry:
    text = span.detail or ("not finished" if span.result in ("open", "interrupted") else "")
    if span.result == "failed":
        text = f"failed: {text}"
    more = (*_wait_lines(span), *(f"service output: {line}" for line in span.log))
    return TimelineEntry(
        span.seq, span.began, _SPANS[span.result], text, span.step, format_duration(span.seconds), more
    )


def _wait_lines(span: StepSpan) -> Iterator[str]:
    """Yield the longer waits of a step; all waits if it was not done, because they may say why."""
    for wait in span.waits.values():
        if wait.seconds < MIN_WAIT_SHOWN_S and span.result in ("done", "same"):
            continue
        last = f"; at the end: {wait.last}" if wait.last != wait.first else ""
        yield f"waited {format_duration(wait.seconds)} for: {wait.first}{last}"


def _note_entry(record: Record) -> TimelineEntry | None:
    """Return a line for a record; None if a step, or the result, says the same."""
    event = record.event
    kind = _KINDS.get(type(event), "event")
    match event:
        case events.NodeFailed() | events.RolloutEnded():
            return None
        case events.ManualChangeFinished(error=error):
            kind = "bad" if error else "ok"
    return TimelineEntry(record.seq, record.at, kind, describe(event), more=tuple(list_details(event)))


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command that was sent. Nothing in it is cleaned.

    Attributes:
        at: when it was sent, seconds since 1970.
        reply: None when none was recorded.
        ok: whether it was understood and carried out.
    """

    at: float
    node: str
    step: str
    target: str
    command: str
    reply: str | None
    ok: bool
    seconds: float


def sent_commands(records: Sequence[Record]) -> Iterator[SentCommand]:
    """Yield commands in the order of their replies; one without a reply comes where it was sent."""
    lost = find_unanswered(records)
    for record in records:
        match record.event:
            case CommandFinished() as event:
                sent = record.at - event.duration_s
                where = (event.node, event.step, event.target, event.command)
                yield SentCommand(sent, *where, event.reply, event.ok, event.duration_s)
            case CommandSending() as event if record.seq in lost:
                where = (event.node, event.step, event.target, event.command)
                yield SentCommand(record.at, *where, None, False, 0.0)
            case _:
                pass


def transcript_lines(records: Sequence[Record]) -> Iterator[str]:
    """Yield lines for a terminal: `>` marks what was sent, `<` what came back."""
    for command in sent_commands(records):
        place = clean("".join(f"{part} " for part in (command.node, command.step) if part))
        mark = ">" if command.ok else paint("✗>", "bad")
        yield (
            f"{format_local_time(command.at, '%H:%M:%S.%f')[:-3]} {place}on {clean(command.target)}"
            f" {mark} {clean(command.command)}   ({format_duration(command.seconds)})"
        )
        for line in reply_lines(command):
            yield f"    < {clean(line)}"


def reply_lines(command: SentCommand) -> list[str]:
    """Return the lines of the reply; a text in parentheses when there is none."""
    if command.reply is None:
        return ["(no reply recorded)"]
    return command.reply.rstrip("\n").split("\n") if command.reply.strip() else ["(empty)"]
