"""A screen with a table of rows that are sorted and filtered, and the line in which a filter is typed."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual import on
from textual.screen import Screen
from textual.widgets import Input

from widgets.key_names import name_keys
from widgets.row_options import RowOptions
from widgets.typed_line import FilterInput

if TYPE_CHECKING:
    from widgets.line_table import LineTable

Options = TypeVar("Options", bound=RowOptions[Any])


class TableScreen(Screen[str], Generic[Options]):
    """The actions that arrange the rows of the screen's only `LineTable`.

    Args:
        options: of the rows, at first.
    """

    SORTS: ClassVar[Sequence[str]]
    CLEAR_KEY: ClassVar[str]  # id of the key that shows all rows again
    DEFAULT_CSS = """
    TableScreen { layout: vertical; }
    TableScreen > LineTable { height: 1fr; }
    TableScreen > #filter { display: none; height: 1; border: none; padding: 0 1; }
    TableScreen > #filter.-shown { display: block; }
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options

    @cached_property
    def clear_hint(self) -> str:
        """Which key shows all rows again: `esc clears`."""
        return f"{name_keys(self)[self.CLEAR_KEY]} clears"

    @abstractmethod
    def _paint(self) -> None:
        """Show everything with the current options."""

    def _apply_options(self, options: Options) -> None:
        self._options = options
        self._paint()

    def _build_filter_box(self, hint: str) -> FilterInput:
        return FilterInput(placeholder=f"filter: {hint}", id="filter", compact=True)

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.add_class("-shown")
        box.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._apply_options(replace(self._options, filter=event.value))

    @on(Input.Submitted, "#filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.remove_class("-shown")  # the line below the table has the filter
        self.query_one("LineTable").focus()

    def clear_filter(self) -> bool:
        """Show all rows again; return whether any may have been hidden."""
        box = self.query_one("#filter", Input)
        unlimited = self._options.without_limits()
        there = box.has_focus or unlimited != self._options
        box.value = ""
        box.remove_class("-shown")
        if there:
            self._apply_options(unlimited)
            self.query_one("LineTable").focus()
        return there

    def action_clear_filter(self) -> None:
        self.clear_filter()

    def clear_table(self) -> bool:
        """Show all rows again, or else clear the marks; return whether there was anything to clear."""
        if self.clear_filter():
            return True
        table = cast("LineTable[Any, Any]", self.query_one("LineTable"))
        is_marked = bool(table.marked)
        table.clear_marks()
        return is_marked

    def action_sort(self) -> None:
        following = self.SORTS[(self.SORTS.index(self._options.sort) + 1) % len(self.SORTS)]
        self._apply_options(self._options.sorted_by(following))
        self.notify(f"sorted by {following}", timeout=2)

    def action_reverse(self) -> None:
        self._apply_options(self._options.sorted_by(self._options.sort))

    def action_problems(self) -> None:
        self._apply_options(replace(self._options, problems_only=not self._options.problems_only))
