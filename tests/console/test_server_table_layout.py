"""The server table's columns: they keep their widths, whatever is in them and however wide it is."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from orchestrator.balancers.response_times import ResponseTime
from tests.console.table_app import HOSTILE, ROW, Listed, TableApp, lines, server, servers, shown
from tests.support.console_values import harmless
from widgets.table.by_server import node_key
from widgets.table.widget import ServerTable


async def test_it_looks_like_the_sketch_at_80_columns() -> None:
    drain = replace(server("web3"), admin="drain", kind="moving", rate=0.0, errors=None, response=None)
    split = replace(server("web5"), admin="maint/ready", health="‖ -", glyphs="✓✗", note="ready on lb2")
    async with TableApp().run_test(size=(80, 24), notifications=True) as pilot:
        table = await shown(pilot, [ROW, drain, split])
        assert [line.rstrip() for line in lines(table)[:4]] == [
            " NODE   BACKEND ADMIN HEALTH▾   VERSION SESS   Q REQ/S ERR%  RT TREND LB SINCE",
            "▸web1   shop    ready ▲ up      1.5.0     12   0   143  0.0   8 █▅▃▁█ ✓✓ 3 min",
            " web3   shop    drain ▲ up      1.5.0     12   0     0    –   – █▅▃▁█ ✓✓ 3 min",  # noqa: RUF001 - as it is drawn
            " web5   shop    mixed ‖ -       1.5.0     12   0   143  0.0   8 ✓✗ ready on lb2",
        ]


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
