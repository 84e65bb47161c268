"""The table of all applications."""

from collections.abc import Sequence

from textual.message import Message

from orchestrator.fleet.row import ApplicationRow
from widgets.fleet.columns import (
    FleetLayout,
    build_fleet_row,
    build_fleet_titles,
    fleet_sort_at,
    lay_out_fleet,
)
from widgets.fleet.model import FleetOptions, FleetSort
from widgets.line_table import LineTable, Runs
from widgets.table.names import NameSet


class FleetTable(LineTable[str, tuple[ApplicationRow, int]]):
    """One row for each application; its key is the name."""

    class Chosen(Message):
        """Enter or a double click on an application."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Ordered(Message):
        """A click on the title of a column by which rows can be sorted."""

        def __init__(self, sort: FleetSort) -> None:
            super().__init__()
            self.sort = sort

    HELP = """
# Applications
One row for each application, those that need attention first: `?` a rollout waits for an answer,
`▼` something is down or gives errors, `◐` a rollout runs, `!` one was left unfinished, `‖` nodes were
taken out, `▲` all is well.

**IN** counts the nodes that are in rotation everywhere. **ERR%** is over the last eight seconds.

Arrows, `j` and `k`, page up and down, home and end move the cursor; it stays on its application.
A click on a title orders by it, another one reverses it.
"""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[ApplicationRow] = ()
        self._index: dict[str, int] = {}
        self._names = NameSet()
        self._options = FleetOptions()
        self._now = 0.0

    def show(
        self, rows: Sequence[ApplicationRow], names: frozenset[str], options: FleetOptions, now: float
    ) -> None:
        """Show these rows.

        Args:
            rows: in their order.
            names: of all applications, shown or not, so that a filter moves nothing.
            options: of the rows.
            now: seconds since 1970.
        """
        if names != self._names.names:
            self._names = NameSet(names)
            self.forget_lines()  # names are cut where they differ, so that new ones change the others
        self._rows, self._options, self._now = rows, options, now
        self._index = {row.name: index for index, row in enumerate(rows)}
        self.show_rows()

    @property
    def cursor_row(self) -> ApplicationRow | None:
        """The row under the cursor, as it was shown last."""
        index = self._index.get(self.cursor_key or "")
        return self._rows[index] if index is not None else None

    def count_rows(self) -> int:
        return len(self._rows)

    def key_at(self, index: int) -> str:
        return self._rows[index].name

    def index_of(self, key: str) -> int | None:
        return self._index.get(key)

    def content_at(self, index: int) -> tuple[ApplicationRow, int]:
        return self._rows[index], int(self._now // 60)  # what is said of a day changes with the hour

    def _layout(self, width: int) -> FleetLayout:
        return lay_out_fleet(width, self._names.cells)

    def build_line(self, content: tuple[ApplicationRow, int], width: int) -> Runs:
        return build_fleet_row(content[0], self._layout(width), self._names, self._now)

    def build_titles(self, width: int) -> str:
        return build_fleet_titles(self._layout(width), len(self.marked), self._options)

    def row_reached(self, key: str) -> None:
        """See `LineTable`: nobody needs to know it."""

    def row_chosen(self, key: str) -> None:
        self.post_message(self.Chosen(key))

    def title_clicked(self, x: int) -> None:
        if sort := fleet_sort_at(x, self._layout(self.line_width)):
            self.post_message(self.Ordered(sort))
