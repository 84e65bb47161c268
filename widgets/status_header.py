"""The first line of the screen: which load balancers are live, how many servers or nodes are up, the time."""

from collections.abc import Sequence

from rich.cells import cell_len

from backends.text import format_clock, visible
from widgets.header_line import HeaderLine
from widgets.segments import Segment, truncate, truncate_line, width_of
from widgets.table.model import LONG_STALE_S, BalancerBadge, MainViewModel, RowCounts


class StatusHeader(HeaderLine[MainViewModel]):
    """The header of an application."""

    def build_first(self, model: MainViewModel, clock_text: str, width: int) -> list[Segment]:
        return build_first_line(model, clock_text, width)

    def describe_trouble(self, model: MainViewModel, width: int) -> list[Segment]:
        return describe_trouble(model, width)


def build_first_line(model: MainViewModel, clock_text: str, width: int) -> list[Segment]:
    """Return application and load balancers on the left, counts and clock on the right.

    Where there is no room, first the versions are shortened and hidden, then live load balancers are only
    counted, and the label of the counts is hidden.
    """
    of: Segment = ("servers " if model.counts.of == "server" else "  nodes ", "quiet")
    right = [of, *_count_segments(model.counts), ("   " + clock_text, "plain")]
    room = width - width_of(right) - 1
    title: list[Segment] = [(truncate(model.application, max(8, width // 5)) + "  ", "head")]
    for left in (
        *(title + build_badges(model.instances, parts) for parts in (3, 2, 0)),
        title + _only_problems(model.instances),
    ):
        if width_of(left) <= room:
            break
    else:  # a load balancer in trouble is more important than the label
        right, room = right[1:], room + width_of(right[:1])
    return [*truncate_line(left, room), (" " * max(1, room - width_of(left) + 1), "plain"), *right]


def describe_trouble(model: MainViewModel, width: int) -> list[Segment]:
    """Return what is wrong, in about this many columns at most; nothing while all is well."""
    segments = describe_badges(model.instances, width, others=bool(model.read_only))
    if model.read_only:
        segments += [(" · ", "quiet")] if segments else []
        segments += [(f"read-only: {visible(model.read_only)}", "moving")]
    return segments


def describe_badges(badges: Sequence[BalancerBadge], width: int, *, others: bool = False) -> list[Segment]:
    """Return what is wrong with load balancers, in about this many columns at most.

    Args:
        badges: of the load balancers.
        width: in columns.
        others: whether something else needs its share of them.
    """
    segments: list[Segment] = []
    noted = [badge for badge in badges if badge.state != "live" or badge.note]
    share = width // max(1, len(noted) + others) - 3
    for badge in noted:
        note = visible(badge.note) or ("no answer yet" if badge.state == "connecting" else "no answer")
        kind = "moving" if badge.state == "live" else _state_glyph(badge)[1]
        name = f"{truncate(badge.name, 16)}: "
        segments += [(name + _truncate_start(note, share - cell_len(name)), kind), (" · ", "quiet")]
    return segments[:-1]


def _truncate_start(note: str, room: int) -> str:
    """Return the end of a note: the reason follows a path that may be longer than the screen."""
    room = max(8, room)
    if len(note) <= room and cell_len(note) <= room:
        return note
    end = note[-room:]  # at once: what comes from outside may be very long
    while cell_len(end) > room - 1:
        end = end[1:]
    return "…" + end


def _state_glyph(line: BalancerBadge) -> Segment:
    if line.state == "live":
        return "●", "ok"
    if line.state == "connecting":
        return "◌", "moving"
    return "✗", "bad" if line.age_s >= LONG_STALE_S else "moving"


def _badge_segments(line: BalancerBadge, parts: int) -> list[Segment]:
    """Return one load balancer, with this many parts of its version."""
    glyph, kind = _state_glyph(line)
    words = ".".join(line.version.split(".")[:parts])
    if line.state == "connecting":
        words = "connecting" if parts else ""
    elif line.state == "stale":
        words = f"stale {_format_age(line.age_s):>4}"
    mark = f"{glyph} {visible(words)}".rstrip()
    return [(f"{truncate(line.name, 16)} ", "plain"), (mark, kind), ("  ", "plain")]


def _format_age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else format_clock(seconds)


def build_badges(badges: Sequence[BalancerBadge], parts: int) -> list[Segment]:
    """Return the load balancers with so many parts of their versions; of -1 only those in trouble."""
    if parts < 0:
        return _only_problems(badges)
    return [segment for badge in badges for segment in _badge_segments(badge, parts)]


def _only_problems(lines: Sequence[BalancerBadge]) -> list[Segment]:
    live = sum(badge.state == "live" for badge in lines)
    bad = [segment for badge in lines if badge.state != "live" for segment in _badge_segments(badge, 0)]
    return [(f"● {live}/{len(lines)} live", "ok" if live == len(lines) else "moving"), ("  ", "plain"), *bad]


def _count_segments(counts: RowCounts) -> list[Segment]:
    digits = len(str(counts.up + counts.draining + counts.maint + counts.down))  # so that nothing jumps
    named = (
        ("up", counts.up, "ok"),
        ("drain", counts.draining, "moving"),
        ("maint", counts.maint, "out"),
        ("down", counts.down, "bad"),
    )
    segments = [(f"{word} {count:>{digits}}", kind if count else "quiet") for word, count, kind in named]
    return [part for segment in segments for part in (segment, ("  ", "plain"))][:-1]
