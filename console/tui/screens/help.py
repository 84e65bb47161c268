"""The help: every key that works on the screen below, what has the focus first; it scrolls and searches."""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Input

from console.tui.key_sections import HelpKey, HelpSection, narrow_sections
from widgets.dialogs.elements import QUIET_STYLE, Entries, Entry, entry, measure_column, pad_cell, to_content
from widgets.dialogs.overlay import Overlay
from widgets.dialogs.scrolling import Headline, ScrolledText, ScrollKeys
from widgets.key_names import name_keys
from widgets.typed_line import TypedLine

MAX_KEY_CELLS = 18
MAX_LABEL_CELLS = 14
NOTES = (
    entry(""),
    entry("Keys can be changed: [console.keys] in the configuration takes the names in brackets."),
)
_MARKS = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*)")


class HelpSearch(TypedLine):
    """The line in which the searched text is typed; the help shows only what has it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "keep", id="help-search.keep", tooltip="Keep what was found"),
        Binding("escape", "leave_search", "show all", id="help-search.leave", tooltip="Show everything"),
        Binding("up", "screen.scroll_text(-1)", "up", id="help-search.up", tooltip="Scroll up"),
        Binding("down", "screen.scroll_text(1)", "down", id="help-search.down", tooltip="Scroll down"),
    ]

    def action_leave_search(self) -> None:
        self.value = ""
        self.remove_class("-shown")
        self.screen.set_focus(None)


class HelpScreen(Overlay[None], ScrollKeys):
    """The keys of the screen below, as they are configured."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    HelpScreen > #text { height: 1fr; padding: 0 1; }
    HelpScreen > HelpSearch { display: none; height: 1; border: none; padding: 0 1; }
    HelpScreen > HelpSearch.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back", id="help.back", tooltip="Back to where you were"),
        # The key that opens the help, however it is configured, closes it.
        Binding("question_mark,f1", "leave", "back", id="help", tooltip="Back", show=False),
        Binding("slash", "search", "search", id="search", tooltip="Show only what has this text"),
    ]

    def __init__(self, sections: Sequence[HelpSection]) -> None:
        """Create the help.

        Args:
            sections: of the screen that is explained, that of what has the focus first.
        """
        super().__init__()
        self._sections = sections

    def compose(self) -> ComposeResult:
        yield Headline(to_content("Help · the keys that work here; gray: not now"))
        with ScrolledText(id="text"):
            yield Entries([*build_entries(self._sections), *NOTES], id="lines")
        yield HelpSearch(placeholder="search: part of a key, a name or a text", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.show_places()

    def action_search(self) -> None:
        box = self.query_one(HelpSearch)
        box.add_class("-shown")
        box.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        found = narrow_sections(self._sections, event.value)
        key = name_keys(event.input)["help-search.leave"]
        none = [entry(f"nothing here has {event.value!r}; {key} shows everything")]
        notes = () if event.value else NOTES
        self.query_one("#lines", Entries).show([*(list(build_entries(found)) or none), *notes])
        self._text.scroll_to_edge(-1)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        """Leave what was found, and give the arrow keys back to the text."""
        self.set_focus(None)


def build_entries(sections: Sequence[HelpSection]) -> Iterator[Entry]:
    """Yield the lines of the help."""
    keys = [key for section in sections for key in section.keys]
    key_cells = measure_column((key.keys for key in keys), MAX_KEY_CELLS)
    label_cells = measure_column((key.label for key in keys), MAX_LABEL_CELLS)
    for number, section in enumerate(sections):
        if number:
            yield entry("")
        yield entry(to_content(section.title, "bold $text-primary"))
        for key in section.keys:
            yield _key_entry(key, key_cells, label_cells)
        for paragraph in section.paragraphs:
            yield Entry(Content("  "), _emphasized(paragraph))


def _key_entry(key: HelpKey, key_cells: int, label_cells: int) -> Entry:
    style = "" if key.works else QUIET_STYLE
    head = (
        Content("  ")
        + pad_cell(key.keys, key_cells, f"bold {style}".strip())
        + "  "
        + pad_cell(key.label, label_cells, style)
        + "  "
    )
    name = to_content(f"  [{key.id}]", QUIET_STYLE) if key.id else Content("")
    return Entry(head, to_content(key.meaning, style) + name)


def _emphasized(text: str) -> Content:
    """Return a paragraph of a HELP text; what it marks as code or bold is bold."""
    parts = (
        to_content(part.strip("`*"), "bold") if _MARKS.fullmatch(part) else to_content(part)
        for part in _MARKS.split(text)
    )
    return Content("").join(parts)
