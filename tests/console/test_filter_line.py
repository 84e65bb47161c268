"""The sign that a filter is on: what it is, how many rows match, and that Esc shows all rows again."""

from dataclasses import replace

import pytest

from tests.console.frozen_console import BUSY, TROUBLED, Frame, FrozenConsole
from tests.console.real_console import read
from widgets.table.filter_line import FilterLine, build_filter_line
from widgets.table.model import TableOptions
from widgets.table.widget import ServerTable


@pytest.mark.parametrize(
    ("options", "shown", "expected"),
    [
        (TableOptions(), 400, ""),
        (TableOptions(filter="  "), 400, ""),
        (TableOptions(filter="web9"), 0, "/web9 · 0 of 400 servers match · esc clears"),
        (TableOptions(problems_only=True), 3, "only problems · 3 of 400 servers match · esc clears"),
        (
            TableOptions(filter="a\x1b[2J", problems_only=True, backend="shop", by="node"),
            1,
            "/a\\x1b[2J · only problems · backend shop · 1 of 400 nodes match · esc clears",
        ),
    ],
)
def test_it_names_each_limit(options: TableOptions, shown: int, expected: str) -> None:
    assert "".join(text for text, _ in build_filter_line(options, shown, 400, "esc clears")) == expected


async def test_only_problems_is_said_and_escape_ends_it() -> None:
    app = FrozenConsole(replace(TROUBLED, silent=""))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        line = app.screen.query_one(FilterLine)
        assert not line.display
        await pilot.press("exclamation_mark")
        await pilot.pause()
        assert line.display
        assert "only problems · 3 of 6 servers match · esc clears" in read(app.screen)
        await pilot.press("escape")
        await pilot.pause()
        assert not line.display
        assert "web1" in read(app.screen)


async def test_an_empty_table_says_that_a_filter_is_the_reason() -> None:
    app = FrozenConsole(Frame(BUSY))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", "x", "enter")
        await pilot.pause()
        text = read(app.screen)
        assert "/x · 0 of 6 servers match · esc clears" in text
        assert "0 of 6 servers match, esc clears" in app.screen.query_one(ServerTable).empty_text
        assert app.focused is app.screen.query_one(ServerTable)
        await pilot.press("escape")
        await pilot.pause()
        assert "0 of 6" not in read(app.screen)
        assert app.screen.query_one(ServerTable).cursor_key is not None
