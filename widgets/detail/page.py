"""The sections of a node's detail page, which can also be copied as text."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.cells import cell_len

from backends.model import Server, Stream
from backends.text import format_clock, visible
from orchestrator.balancers.admin_state import MaintenanceReason, find_maintenance_reasons
from orchestrator.live.poller import SESSIONS_INTERVAL_S, BalancerView, PolledSessions
from widgets.detail.balancer_table import LABEL_CELLS, build_checks, build_state
from widgets.detail.journal_lines import list_entries, list_journal
from widgets.detail.model import Detail
from widgets.detail.tabs import Tab
from widgets.segments import MAX_CELL_CHARS, Segment, fit, truncate, wrap_beside
from widgets.table.cell_text import NO_VALUE

_CHECK_MARKS = {True: ("✓", "ok"), False: ("✗", "bad"), None: ("·", "quiet")}
LATE_S = 3 * SESSIONS_INTERVAL_S  # seconds; sessions that are older are called so


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
        lines += wrap_beside([(" ", "plain")], words, detail.connection(instance)[1], width)
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
        lines += wrap_beside(head, f"{where}: {owner.text}"[: 2 * MAX_CELL_CHARS], _kind(owner), width)
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
            lines += wrap_beside(
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
    heads = wrap_beside(title, " · ".join(counts)[: 2 * MAX_CELL_CHARS] or NO_VALUE, "quiet", width)
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
    backend = len(detail.keys) > 1
    head = f" {'AGE':>7} {'CUT AFTER':>10}  {fit('ON', on)} {fit('CLIENT', client)} "
    lines: list[list[Segment]] = [
        [(head + (f"{fit('FRONTEND', 16)} BACKEND" if backend else "FRONTEND"), "quiet")]
    ]
    for stream in ordered:
        age = NO_VALUE if stream.age is None else format_clock(stream.age)
        limit = NO_VALUE if stream.silence_left is None else f"{stream.silence_left} s"
        frontend = fit(stream.frontend, 16)  # padded only where another column follows
        lines.append(
            [
                (f" {age:>7}", "plain"),
                (f" {limit:>10}  ", "quiet"),
                (fit(stream.ref.instance, on) + " ", "plain"),
                (fit(stream.client, client) + " ", "plain"),
                (f"{frontend} " if backend else frontend.rstrip(), "quiet"),
                (visible(stream.ref.backend[:MAX_CELL_CHARS]) if backend else "", "quiet"),
            ]
        )
    return lines


def _age(stream: Stream) -> int:
    return -1 if stream.age is None else stream.age


def list_own_checks(detail: Detail, width: int) -> list[list[Segment]]:
    """Return what Rolldeck's own checks of the node found, as a rollout would make them."""
    title: list[Segment] = [(" " + fit("Rolldeck", LABEL_CELLS), "head")]
    if not detail.own_checks:
        return [[*title, ("is checking the node itself", "quiet")]]
    lines = [[*title, ("checks of its own, as in a rollout", "quiet")]]
    for check in detail.own_checks:
        mark, kind = _CHECK_MARKS[check.passed]
        head: list[Segment] = [(" " + fit(check.name, LABEL_CELLS), "quiet"), (f"{mark} ", kind)]
        lines += wrap_beside(
            head, check.words[: 2 * MAX_CELL_CHARS], "bad" if check.passed is False else "plain", width
        )
    return lines


_SECTIONS_OF: Mapping[Tab, tuple[str, ...]] = {
    "state": ("state", "owner", "checks"),
    "sessions": ("sessions",),
    "journal": ("entries", "journal"),
}
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


def build_page(detail: Detail, width: int, tab: Tab | None = None) -> Page:
    """Return the page for this many cells: one tab, or all of it in the order of the tabs."""
    if tab == "checks":
        return _join(_list_checks(detail, width))
    sections = {
        **_sections_above(detail, width),
        "entries": list_entries(detail, width),
        "journal": list_journal(detail, width),
    }
    return _join({name: own for name, own in sections.items() if tab is None or _is_in(name, tab)})


def _list_checks(detail: Detail, width: int) -> dict[str, list[list[Segment]]]:
    """Return the sections of the tab with checks, in which each load balancer is named, too."""
    sections = {"trouble": wrong} if (wrong := list_unreachable(detail, width)) else {}
    for key in detail.keys:
        sections[f"checks {key}"] = [*build_state(detail, key, width)[:1], *build_checks(detail, key, width)]
    return {**sections, "own": list_own_checks(detail, width)}


def _is_in(section: str, tab: Tab) -> bool:
    name = section.partition(" ")[0]
    return name == "trouble" or name in _SECTIONS_OF.get(tab, ())


def as_text(detail: Detail) -> str:
    """Return the whole page as text to be copied; lines of the journal are not cut."""
    above = _join({"title": [build_title(detail, "", 0)], **_sections_above(detail, WIDE)}).lines
    lines = ["".join(text for text, _ in line).rstrip() for line in above]
    entries = _join({"entries": list_entries(detail, WIDE)}).lines
    lines += ["", *("".join(text for text, _ in line).rstrip() for line in entries)]
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
