"""The server table's columns: they keep their widths, whatever is in them and however wide it is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orchestrator.balancers.response_times import ResponseTime
from tests.console.table_app import HOSTILE, ROW, Listed, TableApp, lines, server, servers, shown, table_names
from tests.support.console_values import harmless
from widgets.table.by_server import node_key
from widgets.table.columns import lay_out_columns
from widgets.table.names import MIN_NAME_CELLS
from widgets.table.widget import ServerTable


async def test_it_looks_like_the_sketch_at_80_columns() -> None:
    drain = replace(server("web3"), admin="drain", kind="moving", rate=0.0, errors=None, response=None)
    split = replace(server("web5"), admin="maint/ready", health="‖ -", glyphs="✓✗", note="ready on lb2")
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, [ROW, drain, split])
        assert [line.rstrip() for line in lines(table)[:4]] == [
            " NODE   ADMIN HEALTH▾   VERSION SESS   Q REQ/S ERR%    RT TREND LB SINCE",
            "▸web1   ready ▲ up      1.5.0     12   0   143  0.0     8 █▅▃▁█ ✓✓ 3 min ago",
            " web3   drain ▲ up      1.5.0     12   0     0    –     – █▅▃▁█ ✓✓ 3 min ago",  # noqa: RUF001 - as it is drawn
            " web5   mixed ‖ -       1.5.0     12   0   143  0.0     8 █▅▃▁█ ✓✗ ready on lb2",
        ]


async def test_a_long_note_takes_the_place_of_the_last_columns_as_far_as_it_must() -> None:
    notes = ("", "ready on lb2", "▼ L4CON in api", "maint in api on lb2", "maint in assets on lb2")
    rows = [replace(ROW, key=("shop", f"web{at}"), note=note) for at, note in enumerate(notes)]
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, rows)
        ends = [line[39:].rstrip() for line in lines(table)[1:6]]
        assert ends == [
            "0   143  0.0     8 █▅▃▁█ ✓✓ 3 min ago",
            "0   143  0.0     8 █▅▃▁█ ✓✓ ready on lb2",
            "0   143  0.0     8 ✓✓ ▼ L4CON in api",
            "0   143  0.0 ✓✓ maint in api on lb2",
            "0   143  0.0 ✓✓ maint in assets on lb2",
        ]


async def test_a_node_says_in_how_many_backends_it_is_when_their_names_do_not_fit() -> None:
    names = ("a, b", "api, shop", "api, assets, shop, www", "日本語, サーバー", "\x1b[2J, [red]")
    nodes = [
        replace(ROW, key=node_key(f"web{at}"), backend=backends, backend_count=backends.count(",") + 1)
        for at, backends in enumerate(names)
    ]
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot, nodes)
        cells = [line[8:].partition("  ")[0] for line in lines(pilot.app.query_one(ServerTable))[1:6]]
        assert cells == ["a, b", "api, shop", "4 backends", "日本語, サーバー", "\\x1b[2J, [red]"]
    for width, four in ((120, "api, assets, shop, www"), (200, "api, assets, shop, www")):
        async with TableApp().run_test(size=(width, 24), notifications=True) as pilot:
            table = await shown(pilot, nodes)
            assert "api, shop" in lines(table)[2]
            assert four in lines(table)[3]


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
        tame = Listed([ROW, replace(hostile, node="n", backend="b", health="h", version="v", weight="w")])
        tame.names = table_names([ROW, hostile])
        table.show(tame, 2)
        assert shape == [(segment.cell_length, str(segment.style)) for segment in table.render_line(2)]


async def test_numbers_of_any_size_keep_their_columns() -> None:
    big = replace(
        ROW,
        sessions=1_234_567,
        queue=98_765,
        rate=1_234_567.8,
        errors=1.0,
        response=ResponseTime(123_456, is_recent=False),
        since_s=10**7,
    )
    small = replace(
        big,
        sessions=0,
        queue=0,
        rate=0.4,
        errors=0.001,
        response=ResponseTime(0, is_recent=False),
        since_s=-1,
    )
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


@pytest.mark.parametrize("backends", [("shop",), ("shop", "api")])
@pytest.mark.parametrize("name", ["web-prod-eu-{:03}", "web-prod-eu-{:03}.dc1.prod.example.com"])
async def test_four_hundred_servers_never_look_the_same_at_80_columns(
    name: str, backends: tuple[str, ...]
) -> None:
    rows = [
        replace(ROW, key=(backend, f"web{number}"), node=name.format(number), backend=backend)
        for number in range(1, 401)
        for backend in backends
    ]
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, rows)
        seen = set()
        for row in range(0, len(rows), 23):
            table.scroll_to(y=row, animate=False)
            await pilot.pause()
            seen |= {line[1:40] for line in lines(table)[1:]}
        assert len(seen) == len(rows)
        assert all(f"-eu-{number:03}" in "".join(seen) for number in range(1, 401))


def test_names_come_before_trend_since_and_weight() -> None:
    titles = [
        [column.title for column, _ in lay_out_columns(width, 2, 26, 0).columns] for width in (79, 119, 199)
    ]
    assert ["TREND" in found for found in titles] == [False, True, True]
    assert ["WGHT" in found for found in titles] == [False, True, True]
    assert {"ADDRESS", "CHECK"} <= set(titles[2])
    assert all("BACKEND" not in found for found in titles)


@given(st.integers(79, 250), st.integers(1, 6), st.integers(1, 80), st.integers(0, 60))
def test_columns_fill_the_width_exactly(width: int, instances: int, node: int, backend: int) -> None:
    layout = lay_out_columns(width, instances, node, backend)
    assert 2 + sum(cells + 1 for _, cells in layout.columns) + layout.glyphs + layout.end == width
    assert layout.end >= 0
    assert dict((column.title, cells) for column, cells in layout.columns)["NODE"] >= MIN_NAME_CELLS
