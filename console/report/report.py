"""The report of one journal entry: a single HTML file without scripts, which loads nothing.

All its markup is in the template, which escapes every value that it prints; nothing here makes any.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from backends.text import counted, format_duration, format_local_time
from console.report.gantt import Gantt
from console.terminal.history import (
    no_end_facts,
    no_end_text,
    node_columns,
    number_columns,
    origin_text,
    plan_size_text,
    step_rows,
    step_times_text,
    traffic_text,
    work_and_wait_text,
)
from console.terminal.history_entries import COLOURS, EntrySummary, findings_of
from console.terminal.output import clean
from console.terminal.summary import reason_text
from console.terminal.timeline import GLYPHS, commands, entries_by_node, reply_lines
from orchestrator.events.events import Record
from orchestrator.events.steps import STEPS
from orchestrator.events.text import WAY_ON_LABELS, intention_text, mixed_versions_text, way_lines
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entries import UNKNOWN
from orchestrator.planning.plan import group_findings

_MOMENT_CLASSES = {
    **{"ok": " ok", "bad": " bad", "open": " working", "same": "", "event": ""},
    **{"question": " warn", "pause": " warn", "note": " warn"},
}


def render_report(summary: EntrySummary, records: Sequence[Record]) -> str:
    """The whole file.

    Args:
        summary: of the entry.
        records: all events of the entry.
    """
    timeline = Timeline.of(records)
    entry, ended = summary.entry, timeline.state.ended
    has_no_end = ended is None and entry.kind not in ("change", UNKNOWN)
    text = (
        _environment()
        .get_template("template.html.j2")
        .render(
            summary=summary,
            entry=entry,
            title=f"{entry.application}: {summary.what}",
            standing_class=COLOURS.get(summary.standing, ""),
            reason=reason_text(entry.result, entry.reason),
            facts=_facts(summary, timeline),
            ended=ended,
            mixed=mixed_versions_text(ended.versions) if ended is not None else "",
            no_end_text=no_end_text(summary) if has_no_end else "",
            no_end=no_end_facts(summary, timeline),
            gantt=Gantt(timeline) if timeline.spans else None,
            rows=list(step_rows(timeline)),
            timeline=entries_by_node(timeline),
            findings=group_findings(findings_of(entry)),
            commands=list(commands(records)),
        )
    )
    return f"{text}\n"


def _facts(summary: EntrySummary, timeline: Timeline) -> Iterator[tuple[str, str]]:
    entry = summary.entry
    until = f" to {format_local_time(entry.ended, '%H:%M:%S')}" if entry.ended is not None else ", no end"
    problem = f", cannot be read: {entry.problem}" if entry.problem else ""
    facts = {
        "Entry": f"{entry.id} ({entry.kind}){problem}",
        "Rolled back": f"by entry {summary.rolled_back_words}" if summary.rolled_back else "",
        "When": f"{format_local_time(entry.began)}{until} ({format_local_time(entry.began, 'UTC%z')})",
        "By": f"{entry.operator}, process {entry.pid} on {entry.host}",
        "From": origin_text(timeline),
        "Nodes": f"{summary.nodes} done",
        "Steps": f"{step_times_text(timeline)}; {work_and_wait_text(timeline)}" if timeline.spans else "",
        "Traffic": traffic_text(timeline),
        "Plan": plan_size_text(summary),
        "Follows": "" if entry.follows is None else f"entry {entry.follows}",
        "Journal": f"not whole: {counted(timeline.missing, 'event')} missing" if timeline.missing else "",
    }
    return ((name, value) for name, value in facts.items() if value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("console", "report"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "duration": format_duration, "when": format_local_time}
    environment.globals |= {
        "GLYPHS": GLYPHS,
        "HEAD": node_columns(),
        "MOMENT_CLASSES": _MOMENT_CLASSES,
        "NUMBERS": number_columns(),
        "WAY_ON_LABELS": WAY_ON_LABELS,
        "STEPS": STEPS,
        "reply_lines": reply_lines,
        "way_lines": way_lines,
        "intention_text": intention_text,
    }
    return environment


def _visible(value: object) -> object:
    """What each printed value passes through before it is escaped; what a macro made has been through it.

    So text from outside is made harmless twice: no terminal or editor obeys it, and it is no markup.
    """
    return value if isinstance(value, Markup) else clean(str(value))
