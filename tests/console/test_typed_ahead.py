"""Keys that arrive together, or before the screen that the first one opens has its widgets."""

import asyncio

import msgspec
import pytest
from textual import events
from textual.css.query import NoMatches
from textual.widget import Widget
from textual.widgets import Input

from console.config.own_commands import OwnCommandSettings
from console.tui.command_palette import Palette
from console.tui.screens.detail import DetailScreen
from console.tui.screens.main import MainScreen
from orchestrator.planning.application import Policy
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.real_console import read
from tests.support.wait import until
from widgets.dialogs.upgrade import UpgradeDialog

OWN = {"key": "f5", "title": "look", "run": "echo {node}", "read_only": True}


async def test_keys_that_arrive_together_belong_to_what_the_first_one_opens() -> None:
    """Each letter is a key of the main view, too: `s` and `p` would answer and pause a rollout."""
    async with FrozenConsole(CALM, applications=("shop", "other")).run_test(size=(80, 24)) as pilot:
        main = pilot.app.screen
        for key in ("slash", *"supd", "enter", "question_mark", "slash", *"log"):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(lambda: [box.value for box in pilot.app.screen.query(Input)] == ["log"])
        assert main.query_one(Input).value == "supd"


async def test_a_widget_that_is_stuck_holds_no_key_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.tui.key_queue.MAX_HELD_S", 0.2)
    gate = asyncio.Event()

    class Stuck(Widget, can_focus=True):
        async def on_key(self) -> None:
            await gate.wait()

    async with FrozenConsole(CALM).run_test(size=(80, 24)) as pilot:
        stuck = Stuck()
        await pilot.app.screen.mount(stuck)
        stuck.focus()
        await pilot.pause()
        for key in ("x", "ctrl+p"):
            pilot.app.post_message(events.Key(key, None))
        await until(lambda: isinstance(pilot.app.screen, Palette))
        gate.set()


@pytest.mark.parametrize("action", ["tab('journal')", "next_tab(-1)", "copy"])
async def test_keys_for_a_page_that_is_being_opened(action: str) -> None:
    async with FrozenConsole(CALM).run_test(size=(80, 24)) as pilot:
        main = pilot.app.screen
        assert isinstance(main, MainScreen)
        main.act_on("look", "web1")
        page = pilot.app.screen
        assert isinstance(page, DetailScreen)
        assert not page.is_mounted
        assert await pilot.app.run_action(action, page)
        await pilot.pause()
        assert ("Commands" in read(page)) == ("tab" in action), "a tab is opened that was typed ahead"


async def test_a_dialog_that_is_not_there_yet_has_nothing_to_scroll() -> None:
    """It must be the error that the console expects of such screens."""
    with pytest.raises(NoMatches):
        UpgradeDialog("shop", "", Policy()).action_scroll(1)


async def test_a_dialog_that_is_not_there_yet_has_no_size_to_fit() -> None:
    UpgradeDialog("shop", "", Policy())._fit()


async def test_key_of_an_own_command_for_a_main_view_that_is_being_opened() -> None:
    app = FrozenConsole(CALM)
    app.add_commands([msgspec.convert(OWN, OwnCommandSettings)], "config.toml")
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.workspace is not None
        opening = app.push_screen(MainScreen(app.workspace))
        assert not app.screen.is_mounted
        assert "f5" in app.screen.active_bindings, "the footer asks"
        assert not await app.run_action("own_command(0)"), "it is gray"
        await opening
        assert app.screen.active_bindings["f5"].enabled
        await pilot.pause()
