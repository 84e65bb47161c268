"""The dialog that asks why: it takes one short line, and nothing else."""

import pytest
from textual.widgets import Input

from tests.console.dialog_values import cut_off, open_dialog, shown
from widgets.dialogs.reason import ReasonDialog


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_reason_is_typed_and_given(size: tuple[int, int]) -> None:
    async with open_dialog(ReasonDialog("shop"), size) as (app, pilot):
        assert "Why? shop requires a reason" in "\n".join(shown(app))
        assert cut_off(app, size) == []
        await pilot.press(*"INC-7", "enter")
    assert app.answers == ["INC-7"]


async def test_without_a_reason_it_goes_on_asking() -> None:
    async with open_dialog(ReasonDialog("shop")) as (app, pilot):
        await pilot.press("space", "enter")
        assert "type why, or cancel" in "\n".join(shown(app))
        app.screen.query_one(Input).value = "a\x1b[2J"
        await pilot.press("enter")
        assert "one line of at most 200 printable characters" in "\n".join(shown(app))
        assert app.answers == []
        await pilot.press("escape")
    assert app.answers == [None]
