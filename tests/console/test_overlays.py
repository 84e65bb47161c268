"""Screens that lie over others close once, whatever arrives together."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.app import ScreenStackError
from textual.keys import key_to_character
from textual.pilot import Pilot
from textual.screen import Screen

import console.tui
import widgets
from console.tui.late_errors import is_late
from console.tui.screens.main import MainScreen
from orchestrator.planning.application import Policy
from tests.console.dialog_values import ended, impact, plan
from tests.console.fleet_app import ROWS
from tests.console.frozen_console import CALM, FrozenConsole
from widgets.dialogs.change import ChangeDialog
from widgets.dialogs.elements import InlineButton
from widgets.dialogs.modal import Confirm, QuitDialog, TooSmall
from widgets.dialogs.overlay import Overlay
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.result import ResultScreen
from widgets.dialogs.upgrade import UpgradeDialog
from widgets.fleet.picker import ApplicationPicker


def press_together(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys as they arrive over a slow link: all of them before anything has reacted to the first."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key_to_character(key)))


def question() -> Confirm:
    return Confirm("web4?", ["text"], [("no", "No", "default"), ("yes", "Yes", "warning")])


DIALOGS: dict[str, Callable[[], Screen[Any]]] = {
    "confirm": question,
    "quit": QuitDialog,
    "picker": lambda: ApplicationPicker(ROWS, "cart", 0.0),
    "change": lambda: ChangeDialog("drain", impact()),
    "plan": lambda: PlanScreen(plan()),
    "result": lambda: ResultScreen(ended()),
    "upgrade": lambda: UpgradeDialog("shop", "", Policy()),
}


@pytest.mark.parametrize("keys", ["enter enter", "escape enter q escape"])
@pytest.mark.parametrize("name", DIALOGS)
async def test_keys_that_arrive_together_close_a_dialog_once(name: str, keys: str) -> None:
    app = FrozenConsole(CALM)
    answers: list[object] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        await app.push_screen(DIALOGS[name](), answers.append)
        await pilot.pause()
        press_together(pilot, *keys.split())
        await pilot.pause()
        await pilot.pause()
        assert main in app.screen_stack
        if name != "upgrade" or "escape" in keys:  # Enter in an empty form only says what is missing
            assert len(answers) == 1


async def test_a_double_click_closes_a_dialog_once() -> None:
    app = FrozenConsole(CALM)
    answers: list[object] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.push_screen(question())
        await pilot.pause()
        below = app.screen
        await app.push_screen(question(), answers.append)
        await pilot.pause()
        button = app.screen.query(InlineButton).last()
        button.action_press()
        button.action_press()
        await pilot.pause()
        assert app.screen is below
    assert answers == ["yes"]


@pytest.mark.parametrize("opens", ["t", "c", "enter", "ctrl+p"])
async def test_keys_that_arrive_together_close_a_page_once(opens: str) -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        await pilot.press(opens)
        await pilot.pause()
        assert app.screen is not main
        press_together(pilot, "escape", "q", "enter", "escape")
        await pilot.pause()
        await pilot.pause()
        assert main in app.screen_stack


async def test_a_screen_that_is_closed_before_it_was_mounted_does_no_harm() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        for keys in ("enter escape", "d enter escape", "t escape c escape", "ctrl+p escape"):
            press_together(pilot, *keys.split())
            await pilot.pause(0.1)
        for _ in range(5):
            await pilot.press("escape")
            await pilot.pause(0.05)
        assert app.screen is main


async def test_a_dialog_that_is_closed_as_another_screen_opens_leaves_that_one_alone() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main, below, plan_screen = app.screen, question(), PlanScreen(plan())
        app.push_screen(below)
        below.dismiss(None)  # before it has heard that it is in front
        app.push_screen(plan_screen)
        await pilot.pause()
        assert app.screen is plan_screen
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is main


async def test_a_dialog_below_another_screen_closes_when_it_is_in_front_again() -> None:
    app = FrozenConsole(CALM)
    answers: list[object] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        asked = question()
        await app.push_screen(asked, answers.append)
        await pilot.pause()
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert isinstance(app.screen, TooSmall)
        asked.dismiss("no")
        asked.dismiss("yes")
        await pilot.pause()
        assert isinstance(app.screen, TooSmall)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        await pilot.pause()
        assert app.screen is main
    assert answers == ["no"]


async def test_a_key_after_the_last_screen_was_closed_is_no_defect() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)):
        assert not is_late(app, ScreenStackError(), is_exiting=False)
    assert not app.screen_stack
    assert is_late(app, ScreenStackError(), is_exiting=False)


def test_every_screen_over_another_is_an_overlay() -> None:
    for package in (console.tui, widgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for found in vars(importlib.import_module(module.name)).values():
                if not isinstance(found, type) or not issubclass(found, Screen):
                    continue
                if found.__module__.startswith(("console.", "widgets.")):
                    is_first = issubclass(MainScreen, found) or found.__name__ == "FleetScreen"
                    assert issubclass(found, Overlay) or is_first, found
