"""The strip at the bottom of every screen: the rollouts that run, and the questions that are open."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from backends.text import format_clock, visible
from orchestrator.fleet.row import ApplicationRow
from widgets.fleet.model import mark_of
from widgets.segments import KINDS, Segment, css_colors, render_lines, truncate_line, width_of

MAX_NAME_CELLS = 24


class RolloutStrip(Widget):
    """One line that is there only while something runs. A click opens the application."""

    class Picked(Message):
        """A click on an application."""

        def __init__(self, application: str) -> None:
            super().__init__()
            self.application = application

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"strip--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    RolloutStrip { height: 1; padding: 0 1; background: $boost; display: none; }
    RolloutStrip.-shown { display: block; }
    """ + css_colors("RolloutStrip", "strip")

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[ApplicationRow] = ()
        self._key = ""

    def show(self, rows: Sequence[ApplicationRow], key: str) -> None:
        """Show the rollouts of these applications.

        Args:
            rows: of applications with a rollout that runs.
            key: that leads to the first of them, as it is displayed.
        """
        if rows != self._rows or key != self._key:
            self._rows, self._key = rows, key
            self.set_class(bool(rows), "-shown")
            self.refresh()

    @property
    def text(self) -> str:
        """What the strip says."""
        return "".join(text for text, _ in build_strip(self._rows, self._key, self.size.width))

    def render(self) -> Text:
        return render_lines(self, "strip", [build_strip(self._rows, self._key, self.size.width)])

    def on_click(self, event: events.Click) -> None:
        event.stop()
        at, begins = event.x - self.gutter.left, 0
        for index, part in enumerate(build_parts(self._rows, self.size.width - len(self._key) - 3)):
            begins += width_of(part)
            if at < begins:
                self.post_message(self.Picked(self._rows[index].name))
                return


def build_strip(rows: Sequence[ApplicationRow], key: str, width: int) -> list[Segment]:
    """Return the rollouts as far as there is room, how many more there are, and the key."""
    if not rows:
        return []
    room = width - cell_len(key) - 2
    parts = build_parts(rows, room)
    line = [segment for part in parts for segment in part]
    if len(parts) < len(rows):
        line.append((f"+{len(rows) - len(parts)}", "moving"))
    line = truncate_line(line, room)
    used = width_of(line)
    return [*line, (" " * max(1, width - used - cell_len(key)), "plain"), (key, "head")]


def build_parts(rows: Sequence[ApplicationRow], room: int) -> list[list[Segment]]:
    """Return the segments of each rollout that has room, from the first one on.

    With less room, first the remaining times go, and then what each of them does.
    """
    for detail in (2, 1, 0):
        parts = [_part(row, detail) for row in rows]
        if sum(cell_len(text) for part in parts for text, _ in part) <= room:
            return parts
    kept: list[list[Segment]] = []
    for part in parts:
        room -= width_of(part)
        if room < len("+99"):
            break
        kept.append(part)
    return kept or parts[:1]


def _part(row: ApplicationRow, detail: int) -> list[Segment]:
    rollout = row.rollout
    if rollout is None:
        return []
    glyph, kind = mark_of(row)
    name = visible(row.name)
    waits = rollout.standing == "waits"
    text = rollout.progress
    if detail or waits:
        text += f" · {rollout.action}"
    if detail > 1 and rollout.is_moving and rollout.remaining_s:
        text += f" · {format_clock(rollout.remaining_s)}"
    return [(f"{glyph} {name} ", kind), (visible(text), kind if waits else "plain"), ("   ", "plain")]
