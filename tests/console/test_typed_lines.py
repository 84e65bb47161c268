"""The keys that are shown are those that work: while text is typed, and where they were configured."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from console.tui.screens.history import HistoryScreen
from orchestrator.engine.control import ABORT, CONTINUE, SKIP
from orchestrator.journal.reader import HistoryReader
from tests.console.fleet_app import FleetApp
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.frozen_rollout import FrozenRollout, halfway
from tests.console.real_console import read
from tests.support.wait import until
from widgets.detail.log_view import LogLines
from widgets.fleet.picker import ApplicationPicker

KEYS = {"resume": "y", "continue": "f6", "follow": "ctrl+g", "put-away": "f7"}


def bar(pilot: Pilot[str]) -> str:
    """The last line of the screen in front."""
    return " ".join(read(pilot.app.screen).splitlines()[-1].split())


async def test_the_key_bar_shows_what_keys_do_while_a_filter_is_typed() -> None:
    async with FrozenConsole(CALM).run_test(size=(80, 24)) as pilot:
        await until(lambda: bar(pilot).startswith("u upgrade"))
        usual = bar(pilot)
        await pilot.press("slash")
        await until(lambda: bar(pilot) == "⏎ keep esc show all ^r resume f1 help")
        await pilot.press(*"web2", "slash", "enter")
        await until(lambda: bar(pilot) == usual)
        assert "/web2/ · 0 of 6 servers match" in read(pilot.app.screen)
        await pilot.press("slash", "escape")
        await until(lambda: bar(pilot) == usual)
        assert "servers match" not in read(pilot.app.screen)
        await pilot.press("home", "l", "slash")
        await until(lambda: bar(pilot).startswith("⏎ find esc back"))
        assert "search" not in bar(pilot)
        await pilot.press("escape", "up", "escape", "question_mark", "slash")
        await until(lambda: "↑ up ↓ down ⏎ keep esc show all" in bar(pilot))
        assert "search" not in bar(pilot)


async def test_the_filter_of_the_history_and_the_list_of_applications_say_their_keys(tmp_path: Path) -> None:
    app = FrozenConsole(CALM)
    app.set_keymap({"history.back": "b"})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(HistoryScreen(HistoryReader(tmp_path / "journal.db"), "shop"))
        await pilot.press("slash")
        await until(lambda: "⏎ apply esc leave it" in bar(pilot))
        assert "filter" not in bar(pilot)
        assert "b back" not in bar(pilot)  # it is typed
        await pilot.press("x", "escape")
        await until(lambda: "b back" in bar(pilot))
        assert "/ filter" in bar(pilot)
        assert isinstance(pilot.app.screen, HistoryScreen)
    async with FleetApp().run_test(size=(80, 24)) as pilot:
        await pilot.press("slash")
        await until(lambda: "⏎ keep esc show all" in bar(pilot))
        await pilot.press("escape", "g")
        await until(lambda: isinstance(pilot.app.screen, ApplicationPicker))
        await until(lambda: "⏎ open · ↑ ↓ move · esc close ─╯" in read(pilot.app.screen))


@pytest.fixture
def asking() -> FrozenConsole:
    """A rollout asks about a node; it plans in a loop of its own."""
    story = FrozenRollout(halfway(), "node").upgraded("web1", "web2").batch("web3")
    return story.asks("web3", "take it out of rotation?", CONTINUE, SKIP, ABORT).console()


async def test_texts_name_keys_as_they_are_configured(asking: FrozenConsole) -> None:
    app = asking
    app.set_keymap(KEYS)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: "f6 continue" in read(app.screen))
        await pilot.press("slash")
        await until(lambda: "⏎ keep" in bar(pilot))
        assert "y resume" not in bar(pilot)  # it is typed
        await pilot.press("escape", "home", "l")
        await until(lambda: "follows" in read(app.screen))
        app.screen.query_one(LogLines).following = False
        await until(lambda: "not following, ^g: follow" in read(app.screen))
        await pilot.press("escape", "slash", *"web3", "enter")
        await until(lambda: "/web3 · 1 of 6 servers match · f7 clears" in read(app.screen))
        await pilot.press("f7")
        await until(lambda: "servers match" not in read(app.screen))
