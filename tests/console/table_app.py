"""A console that shows the server table alone, and rows for it."""

from collections.abc import Sequence
from dataclasses import replace

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from orchestrator.balancers.response_times import ResponseTime
from widgets.table.by_server import RowKey
from widgets.table.model import Row, Sort
from widgets.table.names import NameSet, TableNames
from widgets.table.widget import ServerTable

ROW = Row(
    key=("shop", "web1"),
    node="web1",
    backend="shop",
    admin="ready",
    health="▲ up",
    kind="ok",
    version="1.5.0",
    weight="100",
    sessions=12,
    queue=0,
    rate=143.2,
    errors=0.0,
    response=ResponseTime(8, is_recent=True),
    trend=(1.0, 2.0, 4.0, 8.0, 4.0, 2.0, 0.0, 8.0),
    since_s=190,
    glyphs="✓✓",
    note="",
    is_problem=False,
)


HOSTILE = (
    "\x1b[31mred\x1b[0m\x1b[2J",
    "[red]bold[/]",
    "[/nothing]",
    "日本語サーバー一覧",
    "x" * 10_000,
    "日" * 10_000,
    "a\nb\r\tc\x07",
    "\u202eevil\u202c",
    "e\u0301" * 300,
    "\ufe0f❤\ufe0f\u200d👩\u200d🚀",
)


ORDERS: dict[Sort, str] = {
    "node": "NODE",
    "problems": "HEALTH",
    "sessions": "SESS",
    "rate": "REQ/S",
    "errors": "ERR%",
    "response": "RT",
}


def table_names(rows: Sequence[Row]) -> TableNames:
    return TableNames(NameSet(row.node for row in rows), NameSet(row.backend for row in rows))


class Listed:
    """Rows that exist already; counts how many were asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._index = {row.key: at for at, row in enumerate(rows)}
        self.asked = 0
        self.names = table_names(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        self.asked += 1
        return self._rows[index]

    def key(self, index: int) -> RowKey:
        return self._rows[index].key

    def index(self, key: RowKey) -> int | None:
        return self._index.get(key)


class TableApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, RowKey]] = []
        self.asked: list[Sort] = []

    def compose(self) -> ComposeResult:
        yield ServerTable()

    def on_server_table_moved(self, event: ServerTable.Moved) -> None:
        self.told.append(("moved", event.key))

    def on_server_table_ordered(self, event: ServerTable.Ordered) -> None:
        self.asked.append(event.sort)

    def on_server_table_chosen(self, event: ServerTable.Chosen) -> None:
        self.told.append(("chosen", event.key))


def server(name: str) -> Row:
    return replace(ROW, key=("shop", name), node=name)


def servers(count: int) -> list[Row]:
    return [server(f"web{number}") for number in range(1, count + 1)]


async def shown(pilot: Pilot[None], rows: Sequence[Row], instances: int = 2) -> ServerTable:
    table = pilot.app.query_one(ServerTable)
    table.focus()
    table.show(Listed(rows), instances)
    await pilot.pause()
    return table


def lines(table: ServerTable) -> list[str]:
    return [table.render_line(y).text for y in range(table.size.height)]
