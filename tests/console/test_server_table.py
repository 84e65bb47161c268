"""The server table: the cursor stays on its server, and untrusted names move nothing."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.console.table_app import ORDERS, ROW, Listed, TableApp, lines, servers, shown
from widgets.table.model import TableOptions
from widgets.table.widget import ServerTable


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
        assert "• 2 marked" in lines(table)[0]
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
        table = await shown(pilot, [*servers(3), replace(ROW, key=("a", "b"), backend="a")])
        line = lines(table)[0]
        for title in (*ORDERS.values(), "ADMIN", "BACKEND", "TREND", "SINCE"):
            await pilot.click(ServerTable, offset=(line.index(title) + 1, 0))
        await pilot.click(ServerTable, offset=(0, 0))
        await pilot.pause()
        assert app.asked == list(ORDERS)
        assert table.cursor_key == ("shop", "web1"), "titles are no row"


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


async def test_the_letters_of_vi_move_the_cursor_too() -> None:
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, servers(100))
        await pilot.press("j", "j", "k")
        assert table.cursor_key == ("shop", "web2")
        await pilot.press("G")
        assert table.cursor_key == ("shop", "web100")
        await pilot.press("ctrl+b", "ctrl+b", "ctrl+f", "home")
        assert table.cursor_key == ("shop", "web1")


async def test_ten_thousand_rows_are_not_read_through() -> None:
    rows = Listed(servers(10_000))
    async with TableApp().run_test(size=(200, 50), notifications=True) as pilot:
        table = pilot.app.query_one(ServerTable)
        table.focus()
        table.show(rows, 2)
        await pilot.press("end")
        assert table.cursor_key == ("shop", "web10000")
        assert rows.asked < 1_000


async def test_the_cursor_reads_without_colors(monkeypatch: pytest.MonkeyPatch) -> None:
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
