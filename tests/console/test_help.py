"""The help: it opens everywhere, scrolls, searches, closes, and has every key as it is configured."""

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.config.config_file import ConsoleSettings
from console.tui.key_sections import collect_sections, narrow_sections, split_help
from console.tui.screens.help import HelpScreen
from console.tui.screens.main_keys import MAIN_BINDINGS
from tests.console.dialog_values import impact
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.real_console import read
from tests.console.test_overlays import DIALOGS, press_together, question
from widgets.dialogs.change import ChangeDialog
from widgets.table.widget import ServerTable


async def read_all(pilot: Pilot[Any]) -> str:
    """Return every line of the help, by scrolling through it."""
    await pilot.press("home")
    pages = [read(pilot.app.screen)]
    for _ in range(20):
        await pilot.press("pagedown")
        pages.append(read(pilot.app.screen))
    return "\n".join(pages)


@pytest.mark.parametrize("key", ["escape", "question_mark", "q", "f1"])
async def test_help_opens_and_closes_by_keys(key: str) -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press(key)
        await pilot.pause()
        assert app.screen is main
        press_together(pilot, "question_mark", "question_mark")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is main


async def test_help_begins_with_what_has_the_focus_and_has_every_key() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("question_mark")
        await pilot.pause()
        assert read(app.screen).splitlines()[1].strip() == "Servers"
        assert "↓" in read(app.screen).splitlines()[0]
        text = " ".join((await read_all(pilot)).split())
        for binding in MAIN_BINDINGS:
            if getattr(binding, "id", "") == "application":
                continue  # there is only one
            assert f"[{binding.id}]" in text, binding  # type: ignore[union-attr]
        for name in ("table-mark", "help"):
            assert f"[{name}]" in text
        assert "^p" in text, "the palette"
        assert "↑" in read(app.screen).splitlines()[0]


async def test_help_shows_keys_as_they_are_configured() -> None:
    app = FrozenConsole(CALM)
    app.set_keymap({"upgrade": "f5", "table-mark": "m", "help": "f3"})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        sections = collect_sections(main)
        await pilot.press("f3")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("f3")
        await pilot.pause()
        assert app.screen is main
    keys = {key.id: key.keys for section in sections for key in section.keys}
    assert keys["upgrade"] == "f5"
    assert keys["table-mark"] == "m"
    assert ConsoleSettings().keys == {}


async def test_help_searches() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("question_mark")
        await pilot.pause()
        whole = read(app.screen)
        await pilot.press("slash", *"weight")
        await pilot.pause()
        text = read(app.screen)
        assert "Set the weight" in text
        assert "Maintenance" not in text
        await pilot.press(*"xyz")
        await pilot.pause()
        assert "nothing here has 'weightxyz'" in read(app.screen)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert read(app.screen) == whole
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen)


async def test_help_is_there_in_dialogs_too_and_leaves_them_as_they_were() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("f1")
        await pilot.press("escape", "t", "escape")
        await app.push_screen(question())
        await pilot.pause()
        before = read(app.screen).splitlines()[3:]  # below the clock
        await pilot.press("question_mark")
        await pilot.pause()
        text = read(app.screen)
        assert "Give this answer" in text
        assert "Close it; nothing is done" in text
        await pilot.press("escape")
        await pilot.pause()
        assert read(app.screen).splitlines()[3:] == before


async def test_help_of_a_field_opens_by_a_key_that_the_field_does_not_take() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await app.push_screen(ChangeDialog("weight", impact()))
        await pilot.pause()
        await pilot.press("question_mark")
        assert app.screen.query_one("#weight", Input).value == "?"
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert "Input" in read(app.screen)


async def test_help_opens_over_every_screen() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        dialogs: list[Any] = [DIALOGS[name]() for name in ("picker", "plan", "upgrade")]
        for opened in (*dialogs, "h", "ctrl+p"):
            if isinstance(opened, str):
                await pilot.press(opened)
            else:
                await app.push_screen(opened)
            await pilot.pause()
            below = app.screen
            assert below is not main
            await pilot.press("f1")
            await pilot.pause()
            assert isinstance(app.screen, HelpScreen), below
            await pilot.press("f1")
            await pilot.pause()
            assert app.screen is below
            await pilot.press("escape")
            await pilot.pause()
            assert app.screen is main, below


def test_a_search_finds_words_in_any_order() -> None:
    title, paragraphs = split_help(ServerTable.HELP or "")
    assert title == "Servers"
    assert len(paragraphs) == 3
    assert narrow_sections([], "x") == []
