"""The first line of the screen: which load balancers are live, how many servers or nodes are up, the time."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from backends.text import format_clock, visible
from widgets.segments import KINDS, Piece, colours, cut, painted
from widgets.view_model import Counts, InstanceLine, Picture

LONG_STALE = 10  # seconds after which old data is no hiccup any more


class StatusHeader(Widget):
    """One line; a second one only while something is wrong."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"status--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    StatusHeader { height: auto; padding: 0 1; background: $panel; }
    """ + colours("StatusHeader", "status")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: Picture | None = None
        self._clock = ""
        self._drawn = Text()

    def show(self, picture: Picture, clock_text: str) -> None:
        """Show this picture; `clock_text` is the time of day, such as "16:42:05"."""
        grown = self._shown is None or bool(trouble(picture)) != bool(trouble(self._shown))
        self._shown, self._clock = picture, visible(clock_text)
        if grown or self._lines() != self._drawn:
            self.refresh(layout=grown)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 2 if self._shown is not None and trouble(self._shown) else 1

    def render(self) -> Text:
        self._drawn = self._lines()
        return self._drawn

    def _lines(self) -> Text:
        width = self.size.width
        if self._shown is None or width <= 0:
            return Text()
        paint = {kind: self.get_component_rich_style(f"status--{kind}") for kind in KINDS}
        lines = [first_line(self._shown, self._clock, width)]
        lines += [wrong] if (wrong := trouble(self._shown, width)) else []
        return Text("\n", no_wrap=True, end="").join(painted(line, paint, width) for line in lines)


def first_line(picture: Picture, clock_text: str, width: int) -> list[Piece]:
    """Application and load balancers on the left, counts and clock on the right.

    Where there is no room, first the versions get short and go, then the load balancers that are live are
    only counted, and what the counts are of is not said.
    """
    of: Piece = ("servers " if picture.counts.of == "server" else "  nodes ", "quiet")
    right = [of, *_counts(picture.counts), ("   " + clock_text, "plain")]
    room = width - _columns(right) - 1
    title: list[Piece] = [(cut(picture.application, max(8, width // 5)) + "  ", "head")]
    for left in (
        *(
            title + [piece for each in picture.instances for piece in _instance(each, parts)]
            for parts in (3, 2, 0)
        ),
        title + _only_trouble(picture.instances),
    ):
        if _columns(left) <= room:
            break
    else:  # a load balancer in trouble is worth more than the word
        right, room = right[1:], room + _columns(right[:1])
    return [*_cut_pieces(left, room), (" " * max(1, room - _columns(left) + 1), "plain"), *right]


def trouble(picture: Picture, width: int = 10_000) -> list[Piece]:
    """What is wrong, in words, in at most about so many columns; empty while nothing is."""
    pieces: list[Piece] = []
    noted = [each for each in picture.instances if each.state != "live" or each.note]
    share = width // max(1, len(noted) + bool(picture.read_only)) - 3
    for each in noted:
        note = visible(each.note) or ("no answer yet" if each.state == "connecting" else "no answer")
        kind = "moving" if each.state == "live" else _look(each)[1]
        name = f"{cut(each.name, 16)}: "
        pieces += [(name + _end_of(note, share - cell_len(name)), kind), (" · ", "quiet")]
    if picture.read_only:
        pieces += [(f"read-only: {visible(picture.read_only)}", "moving"), (" · ", "quiet")]
    return pieces[:-1]


def _end_of(note: str, room: int) -> str:
    """The reason stands at the end, behind a path that may be longer than the screen."""
    room = max(8, room)
    if len(note) <= room and cell_len(note) <= room:
        return note
    end = note[-room:]  # at once: what comes from outside may be very long
    while cell_len(end) > room - 1:
        end = end[1:]
    return "…" + end


def _columns(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)


def _cut_pieces(pieces: Sequence[Piece], room: int) -> list[Piece]:
    result: list[Piece] = []
    for text, kind in pieces:
        left = room - _columns(result)
        if left <= 0:
            break
        result.append((cut(text, left), kind))
    return result


def _look(line: InstanceLine) -> Piece:
    if line.state == "live":
        return "●", "ok"
    if line.state == "connecting":
        return "◌", "moving"
    return "✗", "bad" if line.age >= LONG_STALE else "moving"


def _instance(line: InstanceLine, parts: int) -> list[Piece]:
    """One load balancer, with so many parts of its version."""
    glyph, kind = _look(line)
    words = ".".join(line.version.split(".")[:parts])
    if line.state == "connecting":
        words = "connecting" if parts else ""
    elif line.state == "stale":
        words = f"stale {_age(line.age):>4}"
    mark = f"{glyph} {visible(words)}".rstrip()
    return [(f"{cut(line.name, 16)} ", "plain"), (mark, kind), ("  ", "plain")]


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else format_clock(seconds)


def _only_trouble(lines: Sequence[InstanceLine]) -> list[Piece]:
    live = sum(each.state == "live" for each in lines)
    bad = [piece for each in lines if each.state != "live" for piece in _instance(each, 0)]
    return [(f"● {live}/{len(lines)} live", "ok" if live == len(lines) else "moving"), ("  ", "plain"), *bad]


def _counts(counts: Counts) -> list[Piece]:
    digits = len(str(counts.up + counts.draining + counts.maint + counts.down))  # so that nothing jumps
    named = (
        ("up", counts.up, "ok"),
        ("drain", counts.draining, "moving"),
        ("maint", counts.maint, "out"),
        ("down", counts.down, "bad"),
    )
    pieces = [(f"{word} {count:>{digits}}", kind if count else "quiet") for word, count, kind in named]
    return [part for piece in pieces for part in (piece, ("  ", "plain"))][:-1]
