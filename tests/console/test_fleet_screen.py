"""The fleet: what comes first, finding, sorting, opening, and names that stay apart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input

from orchestrator.fleet.row import ApplicationRow
from tests.console.fleet_app import (
    BILLING,
    CALM,
    CART,
    MAIL,
    ROWS,
    SEARCH,
    SHOP,
    FleetApp,
    FrozenOverview,
    nodes,
)
from tests.console.real_console import read
from tests.console.table_app import HOSTILE
from tests.support.wait import until
from tests.unit import journals
from widgets.fleet.columns import fit_versions
from widgets.fleet.picker import ApplicationPicker, find_applications
from widgets.fleet.strip import build_strip
from widgets.fleet.table import FleetTable
from widgets.table.filter_line import FilterLine

ATTENTION = ["cart", "mail", "shop", "search", "accounts", "billing", "catalog-internal-eu"]


@pytest.fixture(scope="module", autouse=True)
def _written_journal() -> None:
    journals.healthy()  # it runs a loop of its own, once


@asynccontextmanager
async def fleet(
    rows: tuple[ApplicationRow, ...] = ROWS, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[FleetApp, Pilot[str], FleetTable]]:
    app = FleetApp(FrozenOverview(rows))
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot, app.screen.query_one(FleetTable)


def names(table: FleetTable) -> list[str]:
    return [table.key_at(index) for index in range(table.count_rows())]


@pytest.mark.parametrize(("keys", "then"), [((), "cart"), (("down",), "catalog-internal-eu")])
async def test_the_cursor_begins_on_what_needs_attention_most(keys: tuple[str, ...], then: str) -> None:
    app = FleetApp(FrozenOverview(CALM))
    app.overview.connecting = True
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        table = app.screen.query_one(FleetTable)
        assert table.cursor_key == "accounts"
        await pilot.press(*keys)
        app.overview.shown, app.overview.connecting = ROWS, False
        await until(lambda: table.count_rows() == len(ROWS))
        assert table.cursor_key == then
        app.overview.shown = (replace(MAIL, name="z"), *ROWS)
        await until(lambda: table.count_rows() > len(ROWS))
        assert table.cursor_key == then  # from now on it stays on its application


async def test_what_needs_attention_comes_first_and_the_cursor_stays_on_its_application() -> None:
    async with fleet() as (app, pilot, table):
        assert names(table)[: len(ATTENTION)] == ATTENTION
        await pilot.press("down", "down")
        assert table.cursor_key == "shop"
        quiet = replace(SHOP, rollout=None, availability=nodes(12))
        app.overview.shown = (quiet, CART, SEARCH, BILLING, MAIL, *CALM)
        await pilot.pause(0.3)
        assert (table.cursor_key, names(table)[-1]) == ("shop", "shop")


async def test_enter_opens_an_application_and_u_begins_an_upgrade_of_it() -> None:
    async with fleet() as (app, pilot, _):
        await pilot.press("enter", "down", "u", "ctrl+r", "R")
        await pilot.pause()
        assert app.picked == [("cart", ""), ("mail", "upgrade"), ("mail", "resume"), ("mail", "roll_back")]


async def test_a_filter_says_what_it_hides_and_escape_shows_all_again() -> None:
    async with fleet() as (app, pilot, table):
        await pilot.press("slash", *"anna", "enter")
        assert names(table) == ["cart", "shop", "search"]
        line = app.screen.query_one(FilterLine)
        assert line.text == "/anna · 3 of 9 applications match · esc clears"
        await pilot.press("slash", *"zzz", "enter")
        assert "0 of 9 applications match, esc clears" in read(app.screen)
        await pilot.press("u", "enter")  # nothing is under the cursor
        assert app.picked == []
        await pilot.press("escape")
        assert (len(names(table)), line.text) == (9, "")
        await pilot.press("exclamation_mark")
        assert names(table) == ATTENTION[:4]
        assert line.text == "only what needs attention · 4 of 9 applications match · esc clears"
        await pilot.press("escape")
        assert len(names(table)) == 9


async def test_orders() -> None:
    async with fleet() as (_, pilot, table):
        await pilot.press("o")
        assert names(table)[:2] == ["accounts", "billing"]
        await pilot.press("O")
        assert names(table)[0] == "shop"
        await pilot.press("o", "o")
        assert names(table)[:2] == ["shop", "media"]  # by requests
        await pilot.click(FleetTable, offset=(40, 0))
        assert names(table)[0] == "mail"  # by errors


async def test_marks_and_keys_that_scroll() -> None:
    many = tuple(replace(CALM[0], name=f"app-{number:03d}") for number in range(100))
    async with fleet(many) as (app, pilot, table):
        await pilot.press("x", "j", "x", "pagedown", "G")
        assert (table.marked, table.cursor_key) == (frozenset({"app-000", "app-001"}), "app-099")
        assert "2 marked" in read(app.screen)
        assert "app-099" in read(app.screen)


async def test_typing_finds_an_application() -> None:
    many = (*ROWS, *(replace(CALM[0], name=f"team-{number:03d}") for number in range(60)))
    async with fleet(many) as (app, pilot, _):
        await pilot.press("g", *"internal-us")
        await pilot.pause()
        assert isinstance(app.screen, ApplicationPicker)
        await pilot.press("enter", "enter")  # two in one packet open it once
        await pilot.pause()
        assert app.picked[0] == ("catalog-internal-us", "")
        await pilot.press("g")
        await pilot.pause()
        await pilot.press("pagedown", "pagedown", "down")
        await pilot.pause()
        assert "team-0" in read(app.screen)  # it scrolls
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, ApplicationPicker)
        assert not app.screen.query_one("#filter", Input).has_class("-shown")


def test_the_best_match_is_first() -> None:
    found = [row.name for row in find_applications(ROWS, "ca")]
    assert found == ["cart", "catalog-internal-eu", "catalog-internal-us"]
    assert [row.name for row in find_applications(ROWS, "media")] == ["media"]
    assert [row.name for row in find_applications(ROWS, "web2")] == ["cart"]  # by what it waits for
    assert find_applications(ROWS, "")[0].name == "cart"
    assert find_applications(ROWS, "zzz") == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_no_two_names_look_alike_and_hostile_ones_move_nothing(size: tuple[int, int]) -> None:
    prefix = "payment-service-production-frankfurt-a-long-name-that-fills-the-screen"
    long = [f"{prefix}-{number:03d}" for number in range(15)]
    rows = tuple(replace(SHOP, name=name) for name in long)
    async with fleet(rows, size) as (_, _, table):
        lines = [table.render_line(y).text for y in range(1, 16)]
        assert len({line[1:] for line in lines}) == 15
        assert {cell_len(line) for line in lines} == {table.scrollable_content_region.width}
    rows = tuple(
        replace(SHOP, name=text, versions=((text, 1),), problem=text, rollout=None) for text in HOSTILE
    )
    async with fleet(rows, size) as (_, _, table):
        for y in range(table.size.height):
            assert cell_len(table.render_line(y).text) == table.scrollable_content_region.width
            assert table.render_line(y).text.isprintable()


def test_versions_fit_with_what_was_left_out_counted() -> None:
    assert [fit_versions(SHOP, width) for width in (20, 17, 12, 8)] == [
        "1.4.2 ×7  1.5.0 ×5",
        "1.4.2 ×7 1.5.0 ×5",
        "1.4.2 ×7 +1",
        "1.4.2 +1",
    ]


def test_the_strip_has_what_waits_first_and_leaves_out_what_has_no_room() -> None:
    def strip(*rows: ApplicationRow, width: int = 78) -> str:
        return "".join(text for text, _ in build_strip(rows, "F2", width))

    assert strip() == ""
    both = strip(CART, SHOP, width=120)
    assert both.startswith(
        "? cart → 2.2.0 1/4 · waits for you: web2   ◐ shop → 1.5.0 5/12 · verifies node6 · 3:10"
    )
    assert both.endswith(" F2")
    assert (
        strip(CART, SHOP)
        == "? cart → 2.2.0 1/4 · waits for you: web2   ◐ shop → 1.5.0 5/12" + " " * 14 + "F2"
    )
    assert "+4" in strip(CART, *[replace(SHOP, name=f"shop{number}") for number in range(5)], width=78)
    assert all(cell_len(strip(CART, SHOP, width=width)) <= width for width in range(45, 200))


async def test_the_history_of_all_applications_and_of_the_one_under_the_cursor(tmp_path: Path) -> None:
    async with fleet(size=(120, 40)) as (app, pilot, _):
        app.overview.journal = tmp_path / "journal.db"
        for name in ("cart", "shop"):
            journals.write(app.overview.journal, journals.healthy(), application=name)
        assert "h history" in read(app.screen)
        await pilot.press("h")
        await until(lambda: "History of all applications · 2 entries" in read(app.screen))
        assert "mark" not in read(app.screen).splitlines()[-1], "marks do nothing here"
        await pilot.press("A")
        await until(lambda: "History of cart · 1 entry" in read(app.screen))
        await pilot.press("A", "slash", *"by:nobody", "enter")
        await until(lambda: "esc clears /by:nobody" in read(app.screen))
        await pilot.press("escape")
        await until(lambda: "History of all applications · 2 entries" in read(app.screen))
        await pilot.press("h")
        await until(lambda: "Fleet" in read(app.screen))
