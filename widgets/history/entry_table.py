"""The table of the journal's entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from textual.message import Message

from backends.text import format_local_time
from orchestrator.journal.entry_summary import EntrySummary
from widgets.line_table import LineTable, Runs
from widgets.segments import fit

KINDS = {
    "healthy": "ok",
    "degraded": "bad",
    "aborted": "moving",
    "running": "moving",
    "interrupted": "bad",
}
"""The style of a row, by how its entry stands."""
WIDE = 110  # cells of a table that has room for whole dates


@dataclass(frozen=True, slots=True)
class EntryLayout:
    """The width of each column, in cells; 0 for one that is not shown."""

    number: int
    when: int
    application: int
    what: int
    operator: int


@lru_cache(maxsize=16)
def lay_out_entries(width: int, number: int, application: int, operator: int) -> EntryLayout:
    """Distribute the cells: what is fixed first, and what was done gets the rest.

    Args:
        width: of the table.
        number: cells of the longest number of an entry.
        application: cells of the longest name of an application; 0 if all entries are of the same.
        operator: cells of the longest name of an operator.
    """
    when = 16 if width >= WIDE else 11
    most = 24 if width >= WIDE else 12
    fixed = 1 + number + 1 + when + 1 + _RESULT + 1 + _NODES + 1 + _TOOK
    shown_application = min(application, most)
    shown_operator = min(operator, most)
    gaps = 1 + (2 if shown_application else 1)
    what = width - fixed - shown_application - shown_operator - gaps
    return EntryLayout(number, when, shown_application, max(8, what), shown_operator)


_RESULT, _NODES, _TOOK = 11, 7, 7


class EntryTable(LineTable[int, tuple[int, str, str]]):
    """One row for each entry, the newest first; its key is the number."""

    HELP = """
# History
One row for each rollout and each manual change, the newest first. **NODES** counts those that were completed.
**Enter** opens one. Arrows, `j` and `k`, page up and down, home and end move the cursor.
"""
    has_marks = False

    class Chosen(Message):
        """Enter or a double click on an entry."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[EntrySummary] = ()
        self._index: dict[int, int] = {}
        self._names = (2, 0, 4)

    def show(self, rows: Sequence[EntrySummary], *, several: bool) -> None:
        """Show these entries.

        Args:
            rows: in their order.
            several: whether they may be of several applications.
        """
        self._rows = rows
        self._index = {row.entry.id: index for index, row in enumerate(rows)}
        self._names = (
            max([2, *(len(str(row.entry.id)) for row in rows)]),
            max([3, *(len(row.entry.application) for row in rows)]) if several else 0,
            max([4, *(len(row.entry.operator) for row in rows)]),
        )
        self.forget_lines()
        self.show_rows()

    def count_rows(self) -> int:
        return len(self._rows)

    def key_at(self, index: int) -> int:
        return self._rows[index].entry.id

    def index_of(self, key: int) -> int | None:
        return self._index.get(key)

    def content_at(self, index: int) -> tuple[int, str, str]:
        row = self._rows[index]
        return row.entry.id, row.standing, row.nodes

    def row_reached(self, key: int) -> None:
        """Nothing depends on where the cursor is."""

    def row_chosen(self, key: int) -> None:
        self.post_message(self.Chosen(key))

    def title_clicked(self, x: int) -> None:
        """The entries have one order."""

    def build_line(self, content: tuple[int, str, str], width: int) -> Runs:
        row = self._rows[self._index[content[0]]]
        layout = lay_out_entries(width, *self._names)
        kind = KINDS.get(row.standing, "quiet")
        form = "%Y-%m-%d %H:%M" if layout.when == 16 else "%m-%d %H:%M"
        took = row.took_text or "-"
        runs: Runs = [
            (fit(str(row.entry.id), layout.number, right=True) + " ", "plain"),
            (fit(format_local_time(row.entry.began, form), layout.when) + " ", "quiet"),
        ]
        if layout.application:
            runs.append((fit(row.entry.application, layout.application) + " ", "plain"))
        runs += [
            (fit(row.what, layout.what) + " ", "plain"),
            (fit(row.entry.operator, layout.operator) + " ", "quiet"),
            (fit(row.standing, _RESULT) + " ", kind),
            (fit(row.nodes, _NODES, right=True) + " ", "plain"),
            (fit(took, _TOOK, right=True), "quiet"),
        ]
        return runs

    def build_titles(self, width: int) -> str:
        layout = lay_out_entries(width, *self._names)
        cells = [
            fit("ID", layout.number, right=True),
            fit("WHEN", layout.when),
            *([fit("APP", layout.application)] if layout.application else []),
            fit("WHAT", layout.what),
            fit("BY", layout.operator),
            fit("RESULT", _RESULT),
            fit("NODES", _NODES, right=True),
            fit("TOOK", _TOOK, right=True),
        ]
        return " " + " ".join(cells)
