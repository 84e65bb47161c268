"""The server table: the cursor stays on its server, and nothing from outside moves anything."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.support.console_values import harmless
from widgets.table.by_server import RowKey, node_key
from widgets.table.model import Row, Sort, TableOptions
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
    response_ms=8,
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


class Listed:
    """Rows that exist already; counts how many were asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._index = {row.key: at for at, row in enumerate(rows)}
        self.asked = 0

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


async def test_it_looks_like_the_sketch_at_80_columns() -> None:
    drain = replace(server("web3"), admin="drain", kind="moving", rate=0.0, errors=None, response_ms=None)
    split = replace(server("web5"), admin="maint/ready", health="‖ -", glyphs="✓✗", note="ready on lb2")
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, [ROW, drain, split])
        assert [line.rstrip() for line in lines(table)[:4]] == [
            " NODE   BACKEND ADMIN HEALTH▾   VERSION SESS   Q REQ/S ERR%  RT TREND LB SINCE",
            "▸web1   shop    ready ▲ up      1.5.0     12   0   143  0.0   8 █▅▃▁█ ✓✓ 3 min",
            " web3   shop    drain ▲ up      1.5.0     12   0     0    –   – █▅▃▁█ ✓✓ 3 min",  # noqa: RUF001 - as it is drawn
            " web5   shop    mixed ‖ -       1.5.0     12   0   143  0.0   8 ✓✗ ready on lb2",
        ]


async def test_the_cursor_stays_on_its_server_when_the_order_changes() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(50))
        await pilot.press("down", "down")
        table.show(Listed(servers(50)[::-1]), 2)
        await pilot.pause()
        assert table.cursor_key == ("shop", "web3")
        assert any(line.startswith("▸web3 ") for line in lines(table)), "it is followed out of sight"


async def test_a_new_order_does_not_fetch_back_who_scrolled_away() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(500))
        table.scroll_to(y=200, animate=False)
        table.show(Listed(servers(500)), 2)
        await pilot.pause()
        assert table.scroll_offset.y == 200


async def test_rows_that_come_to_where_they_were_before_scrolling_are_painted() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(100))
        table.scroll_to(y=5, animate=False)
        await pilot.pause()
        table.show(Listed([*servers(100)[95:], *servers(95)]), 2)
        await pilot.pause()
        painted = pilot.app.screen._compositor.render_strips()
        assert [strip.text[:79] for strip in painted] == lines(table)


async def test_the_nearest_row_takes_over_when_the_server_is_gone() -> None:
    app = TableApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(3))
        await pilot.press("end")
        table.show(Listed(servers(2)), 2)
        await pilot.pause()
        assert table.cursor_key == ("shop", "web2")
        assert app.told[-1] == ("moved", ("shop", "web2"))


async def test_a_filter_without_matches_says_so_and_gives_the_cursor_back() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(3))
        await pilot.press("down", "x")
        table.empty_text = "no server matches /[foo]\x1b"
        table.show(Listed([]), 2)
        await pilot.pause()
        assert table.cursor_key is None
        assert table.cursor_row is None
        assert "no server matches /[foo]\\x1b" in lines(table)[2]
        await pilot.press("down", "x", "enter", "pagedown")
        table.show(Listed(servers(3)), 2)
        assert table.cursor_key == ("shop", "web2")
        assert table.marked == {("shop", "web2")}


async def test_marks_are_on_servers_and_are_counted_in_the_title() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(3))
        await pilot.press("x", "down", "x")
        table.show(Listed(servers(3)[::-1]), 2)
        assert table.marked == {("shop", "web1"), ("shop", "web2")}
        assert [line[:5] for line in lines(table)[1:4]] == [" web3", "◆web2", "•web1"]
        assert "•2" in lines(table)[0]
        await pilot.press("x")
        assert table.marked == {("shop", "web1")}
        table.clear_marks()
        assert table.marked == frozenset()


@pytest.mark.parametrize("width", [80, 120, 200])
async def test_the_order_is_shown_in_the_titles_and_moves_nothing(width: int) -> None:
    async with TableApp().run_test(size=(width, 24), notifications=True) as pilot:
        table = await shown(pilot, [ROW])
        titles = {}
        for sort, title in ORDERS.items():
            for reverse, arrow in ((False, "▾"), (True, "▴")):
                table.show(Listed([ROW]), 2, TableOptions(sort=sort, reverse=reverse))
                line = lines(table)[0]
                assert f"{title}{arrow}" in line
                titles[line.replace(arrow, " ")] = cell_len(line)
        assert len(titles) == 1, "a title moved"


async def test_a_click_on_a_title_asks_for_its_order() -> None:
    app = TableApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(3))
        line = lines(table)[0]
        for title in (*ORDERS.values(), "BACKEND", "TREND", "SINCE"):
            await pilot.click(ServerTable, offset=(line.index(title) + 1, 0))
        await pilot.click(ServerTable, offset=(0, 0))
        await pilot.pause()
        assert app.asked == list(ORDERS)
        assert table.cursor_key == ("shop", "web1"), "titles are no row"


async def test_a_long_note_takes_the_place_of_the_last_columns_as_far_as_it_must() -> None:
    notes = ("", "ready on lb2", "▼ L4CON in api", "maint in api on lb2", "maint in assets on lb2")
    rows = [replace(ROW, key=("shop", f"web{at}"), note=note) for at, note in enumerate(notes)]
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, rows)
        ends = [line[47:].rstrip() for line in lines(table)[1:6]]
        assert ends == [
            "0   143  0.0   8 █▅▃▁█ ✓✓ 3 min",
            "0   143  0.0   8 ✓✓ ready on lb2",
            "0   143  0.0 ✓✓ ▼ L4CON in api",
            "0   143 ✓✓ maint in api on lb2",
            "0   143 ✓✓ maint in assets on l…",
        ]


async def test_a_node_says_in_how_many_backends_it_is_when_their_names_do_not_fit() -> None:
    names = ("a, b", "api, shop", "api, assets, shop, www", "日本語, サーバー", "\x1b[2J, [red]")
    nodes = [
        replace(ROW, key=node_key(f"web{at}"), backend=backends, backend_count=backends.count(",") + 1)
        for at, backends in enumerate(names)
    ]
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, nodes)
        cells = [line[8:15].rstrip() for line in lines(pilot.app.query_one(ServerTable))[1:6]]
        assert cells == ["a, b", "in 2", "in 4", "in 2", "in 2"]
    for width, four in ((120, "4 backends"), (200, "api, assets, shop, www")):
        async with TableApp().run_test(size=(width, 24), notifications=True) as pilot:
            table = await shown(pilot, nodes)
            assert "api, shop" in lines(table)[2]
            assert four in lines(table)[3]


async def test_keys_and_the_mouse_move_the_cursor() -> None:
    app = TableApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(100))
        await pilot.press("up", "pagedown")
        assert table.cursor_key == ("shop", "web24")
        await pilot.press("end")
        assert lines(table)[-1].startswith("▸web100")
        await pilot.press("home")
        assert lines(table)[1].startswith("▸web1 ")
        await pilot.click(ServerTable, offset=(5, 0))
        assert table.cursor_key == ("shop", "web1"), "titles are no row"
        await pilot.double_click(ServerTable, offset=(5, 3))
        await pilot.press("enter")
        await pilot.pause()
        assert app.told[-3:] == [(word, ("shop", "web3")) for word in ("moved", "chosen", "chosen")]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("width", [80, 120, 200])
async def test_hostile_text_stays_in_its_cells(text: str, width: int) -> None:
    hostile = replace(
        ROW, key=(text, text), node=text, backend=text, health=text, version=text, weight=text, note=text
    )
    async with TableApp().run_test(size=(width, 24), notifications=True) as pilot:
        table = await shown(pilot, [ROW, hostile, replace(ROW, key=("a", "b"), admin=text, glyphs=text)])
        for y in range(4):
            strip = table.render_line(y)
            assert cell_len(strip.text) == strip.cell_length == width - 1
            assert harmless(strip.text)
        shape = [(segment.cell_length, str(segment.style)) for segment in table.render_line(2)]
        tame = replace(hostile, node="n", backend="b", health="h", version="v", weight="w")
        table.show(Listed([ROW, tame]), 2)
        assert shape == [(segment.cell_length, str(segment.style)) for segment in table.render_line(2)]


async def test_numbers_of_any_size_keep_their_columns() -> None:
    big = replace(
        ROW,
        sessions=1_234_567,
        queue=98_765,
        rate=1_234_567.8,
        errors=1.0,
        response_ms=123_456,
        since_s=10**7,
    )
    small = replace(big, sessions=0, queue=0, rate=0.4, errors=0.001, response_ms=0, since_s=-1)
    for width in (80, 120, 200):
        async with TableApp().run_test(size=(width, 24), notifications=True) as pilot:
            table = await shown(pilot, [big, replace(small, key=("a", "b"))])
            first, second = table.render_line(1), table.render_line(2)
            assert "…" not in first.text
            assert [segment.cell_length for segment in first] == [segment.cell_length for segment in second]


async def test_resizing_keeps_the_cursor_in_sight_and_fills_the_width() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(300))
        await pilot.press("end")
        for width, height in ((120, 40), (200, 50), (80, 24), (40, 5), (250, 60)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert {table.render_line(y).cell_length for y in range(height)} == {width - 1}
            assert any(line[0] == "▸" for line in lines(table))


async def test_ten_thousand_rows_are_not_read_through() -> None:
    rows = Listed(servers(10_000))
    async with TableApp().run_test(size=(200, 50), notifications=True) as pilot:
        table = pilot.app.query_one(ServerTable)
        table.focus()
        table.show(rows, 2)
        await pilot.press("end")
        assert table.cursor_key == ("shop", "web10000")
        assert rows.asked < 1_000


async def test_the_cursor_reads_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(2))
        cursor, other = ([segment.style for segment in table.render_line(y)] for y in (1, 2))
        assert all(style is not None and style.reverse for style in cursor)
        assert not any(style is None or style.reverse for style in other)


def test_each_key_can_be_remapped_and_explains_itself() -> None:
    assert all(
        not isinstance(binding, tuple) and binding.id and binding.tooltip for binding in ServerTable.BINDINGS
    )
