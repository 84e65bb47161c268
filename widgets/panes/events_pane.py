"""The last events of an application: who changed what, checks that fail, reloads, Consul, steps."""

import time
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment as Piece
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.text import visible
from orchestrator.live.notices import Notice, NoticeLog
from widgets.segments import KINDS, Segment, css_colors, truncate

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_LINES = 4  # a title, and what happened last
MAX_CHARS = 400  # of a notice: no screen shows more
REDRAW_S = 0.8  # between two redraws: where hundreds of servers flap, there is always news
MAX_SUBJECT_COLUMNS = 28
_KINDS = {"good": "ok", "change": "moving", "bad": "bad", "info": "quiet"}
_GLYPHS = {"good": "✓", "change": "•", "bad": "✗", "info": "·"}


def format_moment(at: float, now: float) -> str:
    """Return the time of a moment of today, else its date; both are seconds since 1970."""
    moment, today = time.localtime(at), time.localtime(now)
    is_today = (moment.tm_year, moment.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if is_today else "%d %b  ", moment)


def build_notice(notice: Notice, subject: int, balancers: int, width: int, now: float) -> list[Segment]:
    """Return `16:42:05 ✗ web3  ▲ up → ▼ L4CON (lb1)` in at most `width` columns.

    Args:
        notice: what happened.
        subject: columns for the node.
        balancers: how many there are; which of them noticed it is said only if some did not.
        width: columns of the line.
        now: seconds since 1970.
    """
    clock = format_moment(notice.at, now)
    places = f" ({', '.join(notice.places)})" if notice.places and len(notice.places) < balancers else ""
    name = truncate(notice.subject, subject) if notice.subject and subject else ""
    pad = " " * (subject - cell_len(name) + 2 if subject else 0)
    kind = _KINDS[notice.weight]
    room = max(1, width - cell_len(clock) - 3 - cell_len(name) - len(pad))
    text = truncate(visible(notice.text[:MAX_CHARS]) + visible(places), room)
    return [(f"{clock} ", "quiet"), (f"{_GLYPHS[notice.weight]} ", kind), (name + pad, "plain"), (text, kind)]


class EventsPane(ScrollView, can_focus=True):
    """The notices of an application below a title; the last ones are in sight until somebody scrolls."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"events--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    EventsPane { padding: 0 1; overflow-x: hidden; scrollbar-size-vertical: 1; }
    EventsPane:focus > .events--head { text-style: bold underline; }
    """ + css_colors("EventsPane", "events")
    HELP = """
# Events
What happened lately: changes and rollouts with who made them, servers whose state or checks changed,
reloads of load balancers, Consul. A server that changes again and again *flaps*. The newest is at the end.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            key, f"scroll_{where}", where, show=False, id=f"events-{where.replace('_', '-')}", tooltip=tooltip
        )
        for key, where, tooltip in (
            ("up,k", "up", "An event up"),
            ("down,j", "down", "An event down"),
            ("pageup", "page_up", "A page up"),
            ("pagedown", "page_down", "A page down"),
            ("home", "home", "To the oldest event"),
            ("end,G", "end", "To the newest event"),
        )
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._notices: Sequence[Notice] = ()
        self._version = -1
        self._balancers = 0
        self._subject = 0
        self._follows = True
        self._now = 0.0
        self._drawn_at = -REDRAW_S  # monotonic seconds
        self._styles: dict[str, Style] = {}
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(256)

    def show(self, log: NoticeLog, balancers: int, now: float) -> None:
        """Show these notices.

        Args:
            log: has them.
            balancers: the number of load balancers.
            now: seconds since 1970.
        """
        if log.version == self._version or time.monotonic() - self._drawn_at < REDRAW_S:
            return
        self._now, self._drawn_at = now, time.monotonic()
        self._version, self._balancers = log.version, balancers
        self._notices = list(log.notices)
        widest = max((cell_len(visible(notice.subject[:64])) for notice in self._notices), default=0)
        self._subject = min(widest, MAX_SUBJECT_COLUMNS, max(8, self.size.width // 4))
        self._settle()

    def _settle(self) -> None:
        self.virtual_size = Size(0, len(self._notices) + 1)
        if self._follows:
            self.scroll_end(animate=False, immediate=True, force=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follows = new_value >= self.max_scroll_y

    def on_resize(self) -> None:
        self._settle()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + int(self.scroll_y) - 1
        if y == 0:
            return self._build_strip(self._build_title(), width)
        if not 0 <= index < len(self._notices):
            return self._build_strip([], width)
        today = time.localtime(self._now).tm_yday
        known = (self._notices[index], self._subject, self._balancers, width, today)
        if (strip := self._strips.get(known)) is None:
            line = build_notice(self._notices[index], self._subject, self._balancers, width, self._now)
            strip = self._strips[known] = self._build_strip(line, width)
        return strip

    def _build_strip(self, line: list[Segment], width: int) -> Strip:
        pieces = [Piece(text, self._style(kind)) for text, kind in line]
        return Strip(pieces).adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def notify_style_update(self) -> None:
        self._styles.clear()
        self._strips.clear()
        super().notify_style_update()

    def _style(self, kind: str) -> Style:
        """Return the style of a kind from a cache, as looking it up costs more than all else."""
        if kind not in self._styles:
            self._styles[kind] = self.get_component_rich_style(f"events--{kind}")
        return self._styles[kind]

    def _build_title(self) -> list[Segment]:
        count = len(self._notices)
        later = "" if self._follows else " · end: the newest"
        text = f" · {count:,} so far{later}" if count else " · nothing has happened yet"
        return [("Events", "head"), (text, "quiet")]
