"""The palette: own actions come first, what is typed is found, and a command runs once."""

import asyncio
from typing import Any

import pytest
from rich.style import Style
from textual import events
from textual.command import CommandList
from textual.fuzzy import Matcher
from textual.pilot import Pilot

from console.tui.command_palette import PaletteCommand, list_actions, score_command
from console.tui.view_state import ViewState
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.test_overlays import press_together
from widgets.transcript import Transcript


async def listed(pilot: Pilot[Any]) -> list[str]:
    """The first lines of the hits, once there are some."""
    found: list[str] = []
    async with asyncio.timeout(20):
        while not found:
            await pilot.pause(0.05)
            options = pilot.app.screen.query_one(CommandList).options
            found = [str(option.prompt).splitlines()[0] for option in options if not option.disabled]
    return found


async def test_own_actions_come_first_then_nodes() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+p")
        found = await listed(pilot)
    assert found[0] == "upgrade (u)"
    assert found.index("upgrade (u)") < found.index("mark (x)") < found.index("web1 details")
    assert "Theme" in found
    assert "Keys" not in found, "Textual's own panel of keys"


async def test_typed_text_finds_names_and_explanations() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        commands = list(list_actions(app.screen))
        await pilot.press("ctrl+p", *"command and")
        assert (await listed(pilot))[0] == "transcript (t)", "it has every command and every raw reply"
    assert {"upgrade (u)", "help (?)", "weight (w)"} <= {command.name for command in commands}


def test_a_name_that_begins_with_the_text_is_first() -> None:
    history = PaletteCommand("history (h)", "Every rollout so far", lambda: None)
    others = [
        PaletteCommand("This has hits in several tries", "", lambda: None),
        PaletteCommand("log", "The history of commands", lambda: None),
    ]
    scores = [score_command(Matcher("hist"), "hist", command) for command in (history, *others)]
    assert scores[0] == max(scores)
    assert scores[1] > scores[2] or scores[2] > scores[1] > 0


async def test_actions_of_other_screens_are_listed_there() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("t")
        await pilot.pause()
        names = {command.name for command in list_actions(app.screen)}
    assert {"save (^s)", "search (/)", "next (n)", "help (?)"} <= names


@pytest.mark.parametrize("keys", ["pageup", "pagedown pageup", "pageup enter escape", "end home pageup"])
async def test_keys_before_there_are_hits_do_no_harm(keys: str) -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        press_together(pilot, "ctrl+p", *keys.split())
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert main in app.screen_stack


async def test_two_enters_run_a_command_once() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+p", *"transcript (")
        await listed(pilot)
        press_together(pilot, "down", "enter", "enter", "enter")
        async with asyncio.timeout(20):
            while not app.screen.query(Transcript):
                await pilot.pause(0.05)
        await pilot.pause(0.2)
        transcripts = [screen for screen in app.screen_stack if screen.query(Transcript)]
        assert len(transcripts) == 1


async def test_a_click_on_a_line_that_has_gone_does_no_harm() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+p")
        await listed(pilot)
        hits = app.screen.query_one(CommandList)
        style = Style.from_meta({"option": 999})
        hits.post_message(events.Click(hits, 1, 1, 0, 0, 1, False, False, False, 1, 1, style))
        await pilot.pause(0.1)
        assert app.return_value is None


async def test_a_key_after_the_console_has_ended_does_no_harm() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        press_together(pilot, "q", "down", "x", "enter", "down", "escape")
        for _ in range(100):
            pilot.app.post_message(events.Key("down", None))
            await asyncio.sleep(0.002)
    assert app.return_value == "leave"


async def test_a_theme_that_is_picked_is_remembered() -> None:
    app = FrozenConsole(CALM)
    app.view_state = ViewState()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.search_themes()
        await pilot.pause()
        await pilot.press(*"nord")
        assert (await listed(pilot))[0] == "nord"
        await pilot.press("enter")
        await pilot.pause(0.2)
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert app.theme == "nord"
        assert app.view_state.get("theme", ["nord"], "") == "nord"
