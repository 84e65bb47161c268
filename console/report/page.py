"""The report of one entry: a page of HTML without a script and without anything from elsewhere."""

from collections.abc import Iterator, Sequence

from backends.plural import counted
from console.output.ending import why
from console.output.history_text import (
    HEAD,
    NUMBERS,
    no_end,
    no_end_words,
    origin_words,
    plan_words,
    step_rows,
    step_times,
    times,
    traffic_words,
)
from console.output.records import COLOURS, Summary, findings_of, when
from console.output.timeline import GLYPHS, ROLLOUT, Moment, timeline
from console.output.transcript_text import commands, reply_lines
from console.report.markup import table, tag, text
from console.report.picture import picture
from console.report.style import CSS
from orchestrator.end_words import PURPOSES, mixed_versions, whose_words
from orchestrator.events import OutOfRotation, Record
from orchestrator.journal.entries import UNKNOWN
from orchestrator.journal.story import Story
from orchestrator.plan import grouped
from orchestrator.ways_back import ways_back
from widgets.pieces import duration

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is loaded and nothing runs, whatever should get into the page."""

_KINDS = {"ok": "ok", "bad": "bad", "open": "working", "question": "warn", "pause": "warn", "note": "warn"}


def page(summary: Summary, records: Sequence[Record]) -> str:
    """The whole file."""
    story = Story.of(records)
    entry = summary.entry
    title = f"{entry.application}: {summary.what}"
    body = [
        *_head(summary, story, title),
        *_out(summary, story),
        *_section("What happened when", picture(story)),
        *_section("Nodes", table(HEAD, step_rows(story), right=NUMBERS) if story.nodes else ""),
        *_section("Timeline", *_timeline(story)),
        *_section("What preflight had found", *_findings(summary)),
        *_transcript(records),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(f'{entry.id} {title}')}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(body)}\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, *inside: str) -> Iterator[str]:
    if any(inside):
        yield tag("section", tag("h2", text(title)), *inside)


def _head(summary: Summary, story: Story, title: str) -> Iterator[str]:
    entry = summary.entry
    until = f" to {when(entry.ended, '%H:%M:%S')}" if entry.ended is not None else ", no end"
    took = "" if summary.seconds is None else f" · {duration(summary.seconds)}"
    kind = COLOURS.get(summary.standing, "")
    yield tag("h1", text(title))
    # `why` has cleaned it for a terminal; here it is escaped as well.
    reason = text(f"{why(entry.result, entry.reason)}{took}")
    yield tag("p", tag("span", text(summary.standing), kind=f"result {kind}"), reason)
    facts = [
        (
            "Entry",
            f"{entry.id} ({entry.kind})" + (f", cannot be read: {entry.problem}" * bool(entry.problem)),
        ),
        ("Rolled back", f"by entry {summary.rolled_back_words}" if summary.rolled_back else ""),
        ("When", f"{when(entry.began)}{until} ({when(entry.began, 'UTC%z')})"),
        ("By", f"{entry.operator}, process {entry.pid} on {entry.host}"),
        ("From", origin_words(story)),
        ("Nodes", f"{summary.nodes} done"),
        ("Steps", f"{step_times(story)}; {times(story)}" if story.spans else ""),
        ("Traffic", traffic_words(story)),
        ("Plan", plan_words(summary)),
        ("Follows", "" if entry.follows is None else f"entry {entry.follows}"),
        ("Journal", f"not whole: {counted(story.missing, 'event')} missing" if story.missing else ""),
    ]
    pairs = [tag("dt", text(name)) + tag("dd", text(value)) for name, value in facts if value]
    yield tag("dl", *pairs)


def _out(summary: Summary, story: Story) -> Iterator[str]:
    ended = story.state.ended
    if ended is None:
        if summary.entry.kind not in ("change", UNKNOWN):
            lines = [tag("p", text(no_end_words(summary)))]
            lines += [_command(f"{words}: ", what) for words, what in no_end(summary, story)]
            yield tag("div", *lines, kind="panel out")
        return
    parts = [_one_out(each) for each in ended.out_of_rotation]
    parts += [
        tag("p", text(f"not known: {each}"), kind="panel out bad") for each in ended.unreachable_balancers
    ]
    if mixed := mixed_versions(ended.versions):
        parts.append(tag("p", text(f"versions: {mixed}"), kind="panel out"))
    parts += [_command(f"{PURPOSES[way.purpose]} ", way.command) for way in ended.ways_on]
    yield from _section("Out of rotation at the end", *parts)


def _one_out(out: OutOfRotation) -> str:
    words = whose_words(out)
    lines = [tag("p", tag("strong", text(out.node)), text(f" ({words})" if words else ""))]
    lines += [tag("p", text(place), kind="quiet") for place in out.servers]
    ways = ways_back(out)
    if out.not_ready:
        lines.append(tag("p", text(f"ready would not have put it back: {out.not_ready}"), kind="quiet"))
    lines += [_command("to put it back as it is now: ", each) for each in ways.own]
    lines += [_command("to bring back what it had: ", out.rollback_command)] if out.rollback_command else []
    if ways.by_hand:
        wait = "; before ready, wait until it reads DRAIN with full health" if ways.awaits_health else ""
        lines.append(tag("p", text(f"by hand, in this order{wait}:"), kind="quiet"))
        lines += [_command("", command) for command in ways.by_hand]
    return tag("div", *lines, kind="panel out")


def _command(words: str, command: str) -> str:
    return tag("p", tag("span", text(words), kind="quiet"), tag("code", text(command)))


def _timeline(story: Story) -> Iterator[str]:
    for name, moments in timeline(story).items():
        yield tag("h3", text(name) if name != ROLLOUT else "In all")
        rows = "\n".join(_moment(each) for each in moments)
        yield tag("div", tag("table", tag("tbody", rows)), kind="wide")


def _moment(moment: Moment) -> str:
    mark = tag("td", GLYPHS[moment.kind], kind=f"mark {_KINDS.get(moment.kind, '')}".rstrip())
    more = "".join(tag("p", text(each), kind="quiet") for each in moment.more)
    return tag(
        "tr",
        tag("td", when(moment.at, "%H:%M:%S"), kind="at"),
        mark,
        tag("td", text(moment.step), kind="step"),
        tag("td", text(moment.took), kind="number took"),
        tag("td", text(moment.text), more),
    )


def _findings(summary: Summary) -> Iterator[str]:
    items = [
        tag("li", text(f"{severity}: {', '.join(subjects)}: {words}"))
        for (severity, words), subjects in grouped(findings_of(summary.entry)).items()
    ]
    if items:
        yield tag("ul", *items)


def _transcript(records: Sequence[Record]) -> Iterator[str]:
    sent = list(commands(records))
    if not sent:
        return
    yield "<details>" + tag("summary", text(f"Transcript: {counted(len(sent), 'command')}"))
    for each in sent:
        place = " ".join(part for part in (each.node, each.step) if part)
        head = f"{when(each.at, '%H:%M:%S.%f')[:-3]} {place} on {each.target} "
        kind = "" if each.ok else "bad"
        command = tag("code", text(each.command), kind=kind)
        took = tag("span", text(f" ({duration(each.seconds)})"), kind="quiet")
        yield tag("p", tag("span", text(head), kind="quiet"), command, took, kind="sent")
        yield tag("pre", "\n".join(text(line) for line in reply_lines(each)))
    yield "</details>"
