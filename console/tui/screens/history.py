"""The journal in the console: a list of entries that can be filtered; Enter opens one."""

import time
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input, Static

from backends.errors import RolldeckError
from backends.text import counted
from orchestrator.journal.entry_filter import FILTER_HINT, EntryFilter, parse_filter
from orchestrator.journal.reader import HistoryReader
from widgets.dialogs.elements import strip_colors, to_content
from widgets.dialogs.overlay import Overlay
from widgets.history.entry_table import EntryTable
from widgets.key_names import name_keys
from widgets.typed_line import TypedLine

if TYPE_CHECKING:
    from orchestrator.journal.entry_summary import EntrySummary

FIRST_PAGE_ENTRIES = 50  # that are shown at once
PAGE_ENTRIES = 200  # that are read then, until all or enough are there
MAX_ENTRIES = 5_000  # nobody scrolls further; a filter leads to older ones


class HistoryFilter(TypedLine):
    """The line in which the filter is typed; it applies once it is whole."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "apply", id="history-filter.apply", tooltip="Show only what fits"),
        Binding(
            "escape",
            "screen.leave_filter",
            "leave it",
            id="history-filter.leave",
            tooltip="Leave the filter as it was",
        ),
    ]


class HistoryScreen(Overlay[None]):
    """The entries of a journal, the newest first.

    Args:
        reader: of the journal; it is closed with the screen.
        application: the one whose entries are shown; empty for all.
        is_for_all: whether those of all applications are shown at first.
    """

    HELP = f"""
# History
All rollouts and manual changes in this machine's journal, the newest first. **Enter** opens one: its
timeline, its transcript, its verdicts.

**/** filters, as `{FILTER_HINT}`: all words must fit. `since:` takes 12h, 7d, yesterday, 2026-11-20;
`result:` healthy, degraded, aborted, running, interrupted; `node:` and `by:` take patterns such as `web*`;
`app:` another application. **A** shows the entries of all applications, or of one again.
"""
    DEFAULT_CSS = """
    HistoryScreen { layout: vertical; }
    HistoryScreen > #title { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    HistoryScreen > EntryTable { height: 1fr; }
    HistoryScreen > Input { height: 1; border: none; padding: 0 1; display: none; }
    HistoryScreen > Input.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="history.filter", tooltip="Show only some entries"),
        Binding("A", "all", "all applications", id="history.all", tooltip="Entries of all applications"),
        Binding("r", "reload", "reload", id="history.reload", tooltip="Read the journal again"),
        Binding(
            "escape", "clear_or_leave", "back", id="history.back", tooltip="Clear the filter, then go back"
        ),
        Binding("q,h", "leave", "back", id="back", tooltip="Back", show=False),
    ]

    def __init__(self, reader: HistoryReader, application: str = "", *, is_for_all: bool = False) -> None:
        super().__init__()
        self._reader = reader
        self._application = application
        self._first = EntryFilter("" if is_for_all else application)
        self._wanted = self._first
        self._words = ""  # the filter as it was typed
        self._rows: list[EntrySummary] = []
        self._is_whole = False

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        yield EntryTable()
        yield HistoryFilter(
            placeholder=f"filter: {FILTER_HINT}", id="filter", compact=True, select_on_focus=False
        )
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(EntryTable).focus()
        self.action_reload()

    def on_unmount(self) -> None:
        self._reader.close()

    # -- reading ------------------------------------------------------------------------------

    def action_reload(self) -> None:
        self._read(self._wanted)

    @work(group="history", exclusive=True)
    async def _read(self, wanted: EntryFilter) -> None:
        """Show the first entries at once, and the others as they are read."""
        rows: list[EntrySummary] = []
        self._is_whole = False
        table = self.query_one(EntryTable)
        try:
            while not self._is_whole:
                size = PAGE_ENTRIES if rows else FIRST_PAGE_ENTRIES
                before = rows[-1].entry.id if rows else 0
                page = await self._reader.summaries(wanted, size, before)
                rows += page
                self._is_whole = len(page) < size or len(rows) >= MAX_ENTRIES
                self._rows = rows
                table.empty_text = (
                    f"no such entries: {self._clear_hint} /{self._words}" if self._words else "no entries"
                )
                table.show(rows, several=not wanted.application)
                self._show_title()
        except RolldeckError as error:
            self._is_whole = True
            self.notify(str(error), severity="error", markup=False, timeout=10)
        self._show_title()

    @cached_property
    def _clear_hint(self) -> str:
        return f"{name_keys(self)['history.back']} clears"

    def _show_title(self) -> None:
        whose = self._wanted.application or "all applications"
        count = counted(len(self._rows), "entry") + ("" if self._is_whole else " so far…")
        words = f" · /{self._words} · {self._clear_hint}" if self._words else ""
        title = to_content(f"History of {whose} · {count}") + to_content(words, "$text-warning")
        self.query_one("#title", Static).update(strip_colors(title) if self.app.no_color else title)

    # -- filtering ----------------------------------------------------------------------------

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = self._words
        box.cursor_position = len(self._words)
        box.add_class("-shown")
        box.focus()

    @on(Input.Submitted, "#filter")
    def _filter_typed(self, event: Input.Submitted) -> None:
        try:
            wanted = parse_filter(event.value, time.time(), self._wanted.application)
        except ValueError as error:
            self.notify(str(error), severity="warning", markup=False, timeout=8)
            return
        self._apply(wanted, " ".join(event.value.split()))

    def _apply(self, wanted: EntryFilter, words: str) -> None:
        self._wanted, self._words = wanted, words
        self.action_leave_filter()
        self._read(wanted)

    def action_leave_filter(self) -> None:
        self.query_one("#filter", Input).remove_class("-shown")
        self.query_one(EntryTable).focus()

    def action_all(self) -> None:
        """Show the entries of all applications, or of one again, with the same filter."""
        other = "" if self._wanted.application else self._application
        words = " ".join(word for word in self._words.split() if not word.startswith("app:"))
        self._apply(parse_filter(words, time.time(), other), words)

    def action_clear_or_leave(self) -> None:
        if self._words:
            self._apply(self._first, "")
        else:
            self.dismiss(None)

    # -- one entry ----------------------------------------------------------------------------

    @on(EntryTable.Chosen)
    def _chosen(self, event: EntryTable.Chosen) -> None:
        self._open(event.number)

    @work(group="entry", exclusive=True)
    async def _open(self, number: int) -> None:
        from console.tui.screens.history_entry import EntryScreen

        try:
            found = await self._reader.entry(number)
        except RolldeckError as error:
            self.notify(str(error), severity="error", markup=False, timeout=10)
            return
        if found is None:
            self.notify(f"the journal has no entry {number} any more", severity="warning")
        else:
            self.app.push_screen(EntryScreen(*found))
