"""Configured keys: the ones that work, and the ones that are refused before the console opens."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import console.tui
import widgets
from backends.errors import ConfigError
from console.config.config_file import ConsoleSettings
from console.tui.keymap import GROUPS, check_keymap
from console.tui.screens.help import HelpScreen
from console.tui.screens.main import MainScreen
from tests.console.frozen_console import CALM, FrozenConsole
from widgets.detail.log_view import LogLines
from widgets.detail.view import DetailView
from widgets.dialogs.base import Dialog, Report
from widgets.fleet.table import FleetTable
from widgets.history.entry_table import EntryTable
from widgets.panes.events_pane import EventsPane
from widgets.rollout_board import RolloutBoard
from widgets.table.widget import ServerTable
from widgets.transcript import Lines


@pytest.mark.parametrize("key", ["U", "f5", "ctrl+u", "ctrl+shift+up", "space,f2", "!", "?", "question_mark"])
def test_a_key_that_there_is_can_be_chosen(key: str) -> None:
    assert check_keymap({"table-mark": key}, [(ServerTable,)], "c.toml") == {"table-mark": key}


@pytest.mark.parametrize("key", ["", " ", "nonsense", "ctrl+", "strg+u", "a,", "f99", "\x1b", "uu"])
def test_a_key_that_there_is_not_is_refused(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_keymap({"upgrade": key}, GROUPS, "c.toml")
    assert (caught.value.file, caught.value.key) == ("c.toml", "console.keys.upgrade")
    assert "expected a key such as u, f5, ctrl+d" in caught.value.problem


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ConfigError) as caught:
        check_keymap({"upgrad": "u"}, GROUPS, "c.toml")
    assert caught.value.key == "console.keys.upgrad"
    assert "did you mean 'upgrade'?" in caught.value.problem
    assert "transcript" in caught.value.problem


@pytest.mark.parametrize("keys", [{"upgrade": "d"}, {"upgrade": "f5", "drain": "f5"}, {"maint": "slash"}])
def test_one_key_cannot_do_two_things(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="is the key of"):
        check_keymap(keys, GROUPS, "c.toml")


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        ({"upgrade": "?"}, "upgrade: ? is the key of 'help' already; change both"),
        ({"dialog.cancel": "escape,f1"}, "dialog.cancel: f1 is the key of 'help'"),
        ({"drain": "ctrl+p"}, "drain: ctrl+p is the key of 'command_palette'"),
        (
            {"quit": "f10", "drain": "ctrl+q"},
            "drain: ctrl+q is the key of 'quit'",
        ),
        ({"drain": "tab"}, "drain: tab is the key of 'app.focus_next'"),
        ({"help": "u"}, "help: u is the key of 'upgrade'"),
    ],
)
def test_the_keys_of_every_screen_are_taken(keys: dict[str, str], taken: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FrozenConsole(CALM, settings=ConsoleSettings(keys=keys))
    assert f"console.keys.{taken}" in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"upgrade": "d", "drain": "u"},
        {"help": "f3", "upgrade": "?"},
        {"dialog.line-up": "up,f9"},  # `up` is the key of the version above too, where it has the focus
    ],
)
def test_keys_that_others_have_given_up_or_share_anyway(keys: dict[str, str]) -> None:
    assert FrozenConsole(CALM, settings=ConsoleSettings(keys=keys))._keymap


def owners() -> Iterator[type[DOMNode]]:
    """Yield each of our classes that has keys of its own."""
    for package in (console.tui, widgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    classes: list[type[DOMNode]] = [DOMNode]
    while classes:
        owner = classes.pop()
        classes += owner.__subclasses__()
        if owner.__module__.startswith(("console.", "widgets.")) and "BINDINGS" in vars(owner):
            yield owner


def test_every_key_has_an_explanation_and_a_name_that_can_be_configured() -> None:
    app = FrozenConsole(CALM)
    everywhere = [binding for _, binding in app._bindings]
    for owner in owners():
        for binding in owner.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.id, binding
            assert binding.tooltip, binding
            assert check_keymap({binding.id: "f12"}, GROUPS, "c.toml", everywhere), owner


def test_keys_of_the_main_view_differ_as_they_are() -> None:
    assert check_keymap({}, [(MainScreen, ServerTable)], "c.toml") == {}


@pytest.mark.parametrize(
    "scrolling",
    [
        *(ServerTable, FleetTable, EntryTable, DetailView, LogLines, Lines),
        *(EventsPane, RolloutBoard, Report, HelpScreen, Dialog),
    ],
)
def test_the_same_keys_scroll_everywhere(scrolling: type[DOMNode]) -> None:
    keys = {key for key, _ in scrolling._merged_bindings or ()}
    assert keys >= {"up", "down", "k", "j", "pageup", "pagedown", "home", "end", "G"}
