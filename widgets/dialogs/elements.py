"""The elements of dialogs: entries of text, buttons and radio lists, all of them readable without color."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content, Span
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from backends.text import visible

QUIET_STYLE = "$foreground-muted"
"""The style of secondary text."""

COLOR_STYLES = re.compile(r"\$text-(success|warning|error|primary)")
MAX_NAME_CELLS = 28  # cells that a column of names takes at most


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry; text that does not fit wraps below its body, never below its head."""

    head: Content
    body: Content


def to_content(value: str, style: str = "") -> Content:
    """Return untrusted text as content without markup and control characters.

    Args:
        value: any text.
        style: of Textual's CSS, such as "$error" or "bold".
    """
    return Content.styled(visible(value), style)


def strip_colors(content: Content) -> Content:
    """Replace colors for screens without colors, where red would be as dim as secondary text."""
    spans = [
        Span(start, end, COLOR_STYLES.sub("$foreground", style) if isinstance(style, str) else style)
        for start, end, style in content.spans
    ]
    return Content(content.plain, spans)


def entry(*parts: Content | str) -> Entry:
    """Return an entry without a head; strings are treated as untrusted."""
    return Entry(
        Content(""),
        Content("").join(part if isinstance(part, Content) else to_content(part) for part in parts),
    )


def pad_cell(value: str, width: int, style: str = "", *, right: bool = False) -> Content:
    """Return text padded to this many cells; an ellipsis marks what was cut."""
    cut = to_content(value).truncate(width, ellipsis=True).plain
    space = " " * max(0, width - cell_len(cut))
    return Content.styled(space + cut if right else cut + space, style)


def measure_column(values: Iterable[str], most: int = MAX_NAME_CELLS) -> int:
    """Return how many cells a column of these values needs, at most `most`."""
    return min(most, max((cell_len(visible(value)) for value in values), default=0))


class Entries(Widget):
    """Entries one below the other, as high as they need to be."""

    DEFAULT_CSS = """
    Entries { width: 1fr; height: auto; }
    """

    def __init__(self, lines: Sequence[Entry] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Entry] = lines
        self._laid_out: tuple[int, list[Content]] = (0, [])

    def show(self, lines: Sequence[Entry]) -> None:
        """Show other entries."""
        self._lines = lines
        self._laid_out = (0, [])
        self.refresh(layout=True)

    def render(self) -> Content:
        content = Content("\n").join(self._at(self.size.width))
        return strip_colors(content) if self.app.no_color else content

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._at(width))

    def _at(self, width: int) -> list[Content]:
        if self._laid_out[0] != width:
            self._laid_out = (width, [row for entry in self._lines for row in _wrap(entry, width)])
        return self._laid_out[1]


def _wrap(entry: Entry, width: int) -> list[Content]:
    indent = entry.head.cell_length
    rows = entry.body.wrap(max(8, width - indent)) or [Content("")]
    space = Content(" " * indent)
    return [(space if index else entry.head) + row for index, row in enumerate(rows)]


class InlineButton(Widget, can_focus=True):
    """A button of one line: `[ Start ]`, and `[▸Start◂]` with the focus; no brackets while it is disabled."""

    DEFAULT_CSS = """
    InlineButton { width: auto; height: 1; margin-left: 2; color: $foreground; }
    InlineButton.-error { color: $text-error; }
    InlineButton.-warning { color: $text-warning; }
    InlineButton.-success { color: $text-success; }
    InlineButton.-primary { color: $text-primary; }
    InlineButton:nocolor { color: $foreground; }
    InlineButton:focus { text-style: bold reverse; }
    InlineButton:hover { text-style: bold; }
    InlineButton:disabled { color: $foreground 50%; }
    InlineButton:disabled:ansi { text-style: dim; }
    """
    BINDING_GROUP_TITLE = "Answer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press", "choose", id="choice.press", tooltip="Give this answer", show=False)
    ]

    class Pressed(Message):
        """The button was pressed, by key or mouse."""

        def __init__(self, answer: str) -> None:
            super().__init__()
            self.answer = answer

    def __init__(self, answer: str, label: str, variant: str = "default", *, width: int = 0) -> None:
        """Describe a button.

        Args:
            answer: what `Pressed` carries.
            label: the text on the button.
            variant: default, primary, success, warning or error.
            width: cells of the label at least, so that buttons below each other line up.
        """
        super().__init__(classes=f"-{variant}" if variant in _VARIANTS else "")
        self.answer = answer
        self._label = visible(label)
        self._label += " " * max(0, width - cell_len(self._label))

    def render(self) -> Content:
        if self.is_disabled:
            return Content(f"  {self._label}  ")
        return Content(f"[▸{self._label}◂]" if self.has_focus else f"[ {self._label} ]")

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return cell_len(self._label) + 4

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_press()

    def action_press(self) -> None:
        if not self.is_disabled:
            self.post_message(self.Pressed(self.answer))


_VARIANTS = ("primary", "success", "warning", "error")


class RadioList(Widget, can_focus=True):
    """A choice of one of several options, each on its own line with its meaning.

    The arrow keys pick. Enter confirms what is picked, as Enter in a field does, and Space changes nothing.
    """

    DEFAULT_CSS = """
    RadioList { width: 1fr; height: auto; }
    RadioList:focus { background: $foreground 8%; }
    """
    BINDING_GROUP_TITLE = "Options"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "up,left,k",
            "move(-1)",
            "previous",
            id="options.previous",
            tooltip="Pick the one before",
            show=False,
        ),
        Binding(
            "down,right,j", "move(1)", "next", id="options.next", tooltip="Pick the next one", show=False
        ),
        Binding(
            "enter",
            "confirm",
            "go on",
            id="options.confirm",
            tooltip="Go on with the option that is picked",
            show=False,
        ),
    ]

    class Confirmed(Message):
        """The operator has confirmed the option that is picked."""

    picked: reactive[int] = reactive(0)

    def __init__(self, options: Sequence[tuple[str, str, str]], value: str, *, id: str | None = None) -> None:
        """Describe the options; one of them is always picked.

        Args:
            options: value, label and meaning of each.
            value: the one that is picked at first.
            id: of the widget.
        """
        super().__init__(id=id)
        self._options = options
        values = [option[0] for option in options]
        self.set_reactive(RadioList.picked, values.index(value) if value in values else 0)

    @property
    def value(self) -> str:
        """The value of the selected option."""
        return self._options[self.picked][0]

    def render(self) -> Content:
        width = max(cell_len(label) for _, label, _ in self._options)
        return Content("\n").join(self._row(index, width) for index in range(len(self._options)))

    def _row(self, index: int, width: int) -> Content:
        _, label, meaning = self._options[index]
        here = index == self.picked
        mark = ("▸" if self.has_focus else " ") if here else " "
        padded = visible(label) + " " * (width - cell_len(label))
        return Content.assemble(
            (f"{mark}{'◉' if here else '○'} {padded}", "bold" if here else ""),
            (f"  {visible(meaning)}", QUIET_STYLE),
        )

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(self._options):
            self.picked = event.y

    def action_confirm(self) -> None:
        self.post_message(self.Confirmed())

    def action_move(self, by: int) -> None:
        self.picked = (self.picked + by) % len(self._options)
