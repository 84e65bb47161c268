"""The live table of servers or nodes, over all load balancers."""

from textual.message import Message

from widgets.line_table import LineTable, Runs
from widgets.table.by_server import RowKey
from widgets.table.columns import ColumnLayout, build_heading, build_row, lay_out_for, sort_at
from widgets.table.model import Row, Rows, Sort, TableOptions
from widgets.table.names import TableNames

NO_ROWS = "no servers"


class ServerTable(LineTable[RowKey, tuple[Row, int]]):
    """One row for each server or node; it changes nothing itself."""

    class Moved(Message):
        """The cursor is on another server."""

        def __init__(self, key: RowKey) -> None:
            super().__init__()
            self.key = key

    class Chosen(Message):
        """Enter or a double click on a server."""

        def __init__(self, key: RowKey) -> None:
            super().__init__()
            self.key = key

    class Ordered(Message):
        """A click on the title of a column by which rows can be sorted."""

        def __init__(self, sort: Sort) -> None:
            super().__init__()
            self.sort = sort

    HELP = """
# Servers
Each row is a server or, after `v`, a node: ✓ then means in rotation in all of its backends there.

Arrows, `j` and `k`, page up and down, home and end or `G` move the cursor; it stays on its server
whatever the order.
`x` marks a server: an action then applies to all marked rows.

A click on a title orders by it, another one reverses it (▾ ▴); HEALTH has the problems first.
"""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(ServerTable.empty_text, NO_ROWS)
        self._rows: Rows | None = None
        self._names = TableNames()
        self._instances = 0
        self._options = TableOptions()

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor, as it was shown last."""
        return self._rows[self.cursor_index] if self._rows is not None and len(self._rows) else None

    def show(self, rows: Rows, instances: int, options: TableOptions | None = None) -> None:
        """Show these rows. The cursor stays on its server, or where it was when that is gone.

        Args:
            rows: what to show, in order; read only where it is in sight.
            instances: how many load balancers there are, for the width of their marks.
            options: of the rows; the one before when None.
        """
        if rows.names is not self._names:
            self._names = rows.names
            self.forget_lines()  # names are cut where they differ, so that new ones change the others
        self._rows, self._instances = rows, instances
        self._options = options or self._options
        self.show_rows()

    # -- for the table ------------------------------------------------------------------------

    def count_rows(self) -> int:
        return len(self._rows) if self._rows is not None else 0

    def key_at(self, index: int) -> RowKey:
        return self._shown.key(index)

    def index_of(self, key: RowKey) -> int | None:
        return self._shown.index(key)

    def content_at(self, index: int) -> tuple[Row, int]:
        return self._shown[index], self._instances

    def build_line(self, content: tuple[Row, int], width: int) -> Runs:
        return build_row(content[0], self._layout(width), self._names)

    def build_titles(self, width: int) -> str:
        return build_heading(self._layout(width), len(self.marked), self._options)

    @property
    def _shown(self) -> Rows:
        if self._rows is None:
            raise LookupError("no rows were shown")
        return self._rows

    def _layout(self, width: int) -> ColumnLayout:
        return lay_out_for(width, self._instances, self._names)

    def row_reached(self, key: RowKey) -> None:
        self.post_message(self.Moved(key))

    def row_chosen(self, key: RowKey) -> None:
        self.post_message(self.Chosen(key))

    def title_clicked(self, x: int) -> None:
        if sort := sort_at(x, self._layout(self.line_width)):
            self.post_message(self.Ordered(sort))
