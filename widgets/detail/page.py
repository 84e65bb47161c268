"""The sections of a node's detail page, which can also be copied as text."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from backends.model import Server, Stream
from backends.text import format_clock, visible
from orchestrator.balancers.admin_state import MaintenanceReason, find_maintenance_reasons
from orchestrator.live.poller import SESSIONS_INTERVAL_S, BalancerView, PolledSessions
from widgets.detail.balancer_table import LABEL_CELLS, build_checks, build_state
from widgets.detail.model import Detail
from widgets.segments import Segment, truncate
from widgets.table.cell_text import MAX_CELL_CHARS, NO_VALUE, fit
from widgets.transcript import MARKS, Line

MAX_ROWS_PER_LINE = 3  # of one line of the journal
LATE_S = 3 * SESSIONS_INTERVAL_S  # seconds; sessions that are older are called so
_JOURNAL_KINDS = {"command": "head", "failed": "bad", "bad": "bad", "reply": "plain", "event": "quiet"}


def list_unreachable(detail: Detail, width: int) -> list[list[Segment]]:
    """Return which load balancers do not answer, why, and how old their data are."""
    lines = []
    for instance in detail.view.instances:
        if instance.state == "live":
            continue
        old = f"; this is {detail.age(instance):.0f} s old" if instance.read_at is not None else ""
        words = (
            f"{instance.name[:MAX_CELL_CHARS]}: {instance.failing[:MAX_CELL_CHARS] or 'no answer yet'}{old}"
        )
        lines += _wrap([(" ", "plain")], words, detail.connection(instance)[1], width)
    return lines


def list_maintenance_reasons(detail: Detail, width: int) -> list[list[Segment]]:
    """Return who keeps the node out and what ends that; equal load balancers share a line."""
    names_by_reason: dict[tuple[str, MaintenanceReason], list[str]] = {}
    all_live = True
    for instance, server in detail.lines():
        backend = server.ref.backend if len(detail.keys) > 1 else ""
        stale = "" if instance.state == "live" else " (stale)"
        all_live = all_live and not stale
        for owner in find_maintenance_reasons(server, detail.rollouts.get(server.ref, "")):
            names_by_reason.setdefault((backend, owner), []).append(instance.name + stale)
    lines: list[list[Segment]] = []
    for (backend, owner), names in names_by_reason.items():
        label = "" if lines else "owner"
        everywhere = all_live and len(names) == len(detail.view.instances)
        where = "all" if everywhere else ", ".join(names)
        where = f"{backend} on {where}" if backend else f"on {where}"
        head: list[Segment] = [(" " + fit(label, LABEL_CELLS), "quiet")]
        lines += _wrap(head, f"{where}: {owner.text}"[: 2 * MAX_CELL_CHARS], _kind(owner), width)
    return lines


def _kind(owner: MaintenanceReason) -> str:
    if owner.who == "nobody":
        return "quiet"
    if not owner.active:
        return "moving"
    return "bad" if owner.who in ("resolution", "agent") else "out"


def list_sessions(detail: Detail, width: int) -> list[list[Segment]]:
    """Return the sessions on all load balancers, oldest first."""
    lines: list[list[Segment]] = []
    counts: list[str] = []
    streams: list[Stream] = []
    for instance, server in detail.lines():
        where = f"{server.ref.backend} on {instance.name}" if len(detail.keys) > 1 else f"on {instance.name}"
        polled = detail.in_flight.get(server.ref, PolledSessions())
        if polled.failing and (instance.state == "live" or polled.denied):  # else it is shown at the top
            lines += _wrap(
                [(" ", "plain")], f"{where}: {polled.failing}"[: 2 * MAX_CELL_CHARS], "moving", width
            )
        if _has_no_sessions(instance, server):
            counts.append(f"0 {where}")
        elif polled.sessions is None:
            counts.append(f"{server.sessions} {where}{'' if polled.failing else ', being read'}")
        else:
            shown, total = len(polled.sessions.oldest), polled.sessions.total
            count = f"{total:,}" if shown == total else f"the {shown} oldest of {total:,}"
            late = detail.now - (polled.read_at or 0.0)
            old = late > LATE_S or instance.state != "live"
            counts.append(f"{count} {where}" + (f", {late:.0f} s old" if old else ""))
            streams += polled.sessions.oldest
    title: list[Segment] = [(" " + fit("Sessions", LABEL_CELLS), "head")]
    heads = _wrap(title, " · ".join(counts)[: 2 * MAX_CELL_CHARS] or NO_VALUE, "quiet", width)
    return [*heads, *lines, *_list_streams(detail, streams)]


def _has_no_sessions(instance: BalancerView, server: Server) -> bool:
    return instance.state == "live" and not server.sessions


def _list_streams(detail: Detail, streams: Iterable[Stream]) -> list[list[Segment]]:
    ordered = sorted(streams, key=lambda stream: (-_age(stream), stream.ref, stream.client))
    if not ordered:
        return []
    names = [instance.name for instance in detail.view.instances]
    on = min(16, max(3, *map(len, names))) + 1
    client = min(48, max(22, *(len(stream.client) for stream in ordered))) + 1
    head = f" {'AGE':>7} {'CUT AFTER':>10}  {fit('ON', on)} {fit('CLIENT', client)} {fit('FRONTEND', 16)}"
    backend = len(detail.keys) > 1
    lines: list[list[Segment]] = [[(head + (" BACKEND" if backend else ""), "quiet")]]
    for stream in ordered:
        age = NO_VALUE if stream.age is None else format_clock(stream.age)
        limit = NO_VALUE if stream.silence_left is None else f"{stream.silence_left} s"
        lines.append(
            [
                (f" {age:>7}", "plain"),
                (f" {limit:>10}  ", "quiet"),
                (fit(stream.ref.instance, on) + " ", "plain"),
                (fit(stream.client, client) + " ", "plain"),
                (fit(stream.frontend, 16) + " ", "quiet"),
                (visible(stream.ref.backend[:MAX_CELL_CHARS]) if backend else "", "quiet"),
            ]
        )
    return lines


def _age(stream: Stream) -> int:
    return -1 if stream.age is None else stream.age


def list_journal(detail: Detail, width: int) -> list[list[Segment]]:
    """Return commands, replies and events as in the transcript, newest last."""
    title: list[Segment] = [(" " + fit("Journal", LABEL_CELLS), "head")]
    if not detail.journal:
        return [[*title, ("nothing since the console opened", "quiet")]]
    lines = [[*title, ("> sent, < the raw reply,   happened, ✗ failed; newest last", "quiet")]]
    return lines + [row for line in detail.journal for row in _journal_line(line, width)]


def _journal_line(line: Line, width: int) -> list[list[Segment]]:
    size = 8 if width < 100 else 14
    head = " " * (18 + size)
    if line.kind != "reply":
        head = f" {line.time:<8} {line.step:<7} {fit(truncate(line.target[:MAX_CELL_CHARS], size), size)}"
    kind = _JOURNAL_KINDS[line.kind]
    segments: list[Segment] = [(head, "quiet"), (MARKS[line.kind] + " ", kind)]
    # Of a line of 10 kB only the beginning: all of it is in the transcript, and in what is copied.
    rows = _wrap(segments, line.text[: (MAX_ROWS_PER_LINE + 1) * width], kind, width)
    if len(rows) > MAX_ROWS_PER_LINE:
        rows = [*rows[: MAX_ROWS_PER_LINE - 1], [*rows[MAX_ROWS_PER_LINE - 1], ("…", "quiet")]]
    return rows


def _wrap(head: list[Segment], words: str, kind: str, width: int) -> list[list[Segment]]:
    """Return text beside a head; text that does not fit wraps below the text."""
    indent = sum(cell_len(text) for text, _ in head)
    rows = Content(visible(words)).wrap(max(8, width - indent - 1)) or [Content("")]
    space: list[Segment] = [(" " * indent, "plain")]
    return [[*(space if index else head), (row.plain, kind)] for index, row in enumerate(rows)]


WIDE = 160  # cells of a line in what is copied


@dataclass(frozen=True, slots=True)
class Page:
    """The lines of a page, and where each section begins, in their order."""

    lines: list[list[Segment]]
    starts: dict[str, int]

    def place(self, line: int) -> tuple[str, int]:
        """Return the section of a line, and its distance from the beginning of the section."""
        names, starts = list(self.starts), list(self.starts.values())
        index = bisect_right(starts, line) - 1
        return (names[index], line - starts[index]) if index >= 0 else ("", line)


def build_page(detail: Detail, width: int) -> Page:
    """Return the whole page for this many cells."""
    return _join({**_sections_above(detail, width), "journal": list_journal(detail, width)})


def as_text(detail: Detail) -> str:
    """Return the whole page as text to be copied; lines of the journal are not cut."""
    above = _join({"title": [build_title(detail, "", 0)], **_sections_above(detail, WIDE)}).lines
    lines = ["".join(text for text, _ in line).rstrip() for line in above]
    return "\n".join([*lines, "", *map(str, detail.journal), ""])


def _sections_above(detail: Detail, width: int) -> dict[str, list[list[Segment]]]:
    """Return the sections above the journal."""
    sections: dict[str, list[list[Segment]]] = {}
    if wrong := list_unreachable(detail, width):
        sections["trouble"] = wrong
    for key in detail.keys:
        sections[f"state {key}"] = build_state(detail, key, width)
    sections["owner"] = list_maintenance_reasons(detail, width)
    for key in detail.keys:
        sections[f"checks {key}"] = build_checks(detail, key, width)
    sections["sessions"] = list_sessions(detail, width)
    return sections


def _join(sections: dict[str, list[list[Segment]]]) -> Page:
    """Join sections, with an empty line between them except before the owner."""
    lines: list[list[Segment]] = []
    starts = {}
    for name, own in sections.items():
        if lines and own and name != "owner":
            lines.append([])
        starts[name] = len(lines)
        lines += own
    return Page(lines, starts)


def build_title(detail: Detail, clock_text: str, width: int) -> list[Segment]:
    """Return the node, its version, a glyph for each load balancer, and the time on the right."""
    names = ", ".join(key[0] if key[1] == detail.node else "/".join(key) for key in detail.keys)
    left: list[Segment] = [
        (f" {truncate(detail.node[:MAX_CELL_CHARS], 40)}", "head"),
        (f"  {visible(names[:MAX_CELL_CHARS])}", "quiet"),
    ]
    left += [(f"  {visible(detail.version[:MAX_CELL_CHARS])}", "plain")] if detail.version else []
    right: list[Segment] = []
    for instance in detail.view.instances:
        mark, kind = _mark(detail, instance.name)
        right += [
            (f"{truncate(instance.name[:MAX_CELL_CHARS], 12)} ", "plain"),
            (mark, kind),
            ("  ", "plain"),
        ]
    right.append((f" {clock_text} ", "plain"))
    room = width - sum(cell_len(text) for text, _ in right)
    used = sum(cell_len(text) for text, _ in left)
    if used > room > 0:
        left = [(truncate("".join(text for text, _ in left), room), "head")]
        used = cell_len(left[0][0])
    return [*left, (" " * max(2, room - used), "plain"), *right]


def _mark(detail: Detail, name: str) -> Segment:
    """Return the glyph as in the table: in rotation in every backend, not, or unknown."""
    polled = [(instance, server) for instance, server in detail.lines() if instance.name == name]
    if not polled or any(instance.state != "live" for instance, _ in polled):
        return "?", "moving"
    if all(server.in_rotation for _, server in polled):
        return "✓", "ok"
    return "✗", "plain"
