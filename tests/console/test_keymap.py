"""Configured keys: the ones that work, and the ones that are refused before the console opens."""

import pytest
from textual.app import App

from backends.errors import ConfigError
from console.tui.keymap import GROUPS, check_keymap
from console.tui.screens.main import MainScreen
from widgets.table.widget import ServerTable


@pytest.mark.parametrize("key", ["U", "f5", "ctrl+u", "ctrl+shift+up", "space,f2", "!", "?", "question_mark"])
def test_a_key_that_there_is_can_be_chosen(key: str) -> None:
    group = [(App, ServerTable)]
    assert check_keymap({"table-mark": key}, group, "c.toml") == {"table-mark": key}


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


def test_two_keys_can_be_exchanged() -> None:
    assert check_keymap({"upgrade": "d", "drain": "u"}, GROUPS, "c.toml") == {"upgrade": "d", "drain": "u"}


def test_every_key_has_a_name_and_an_explanation() -> None:
    for group in GROUPS:
        for owner in group:
            if owner is App:
                continue
            for binding in owner.BINDINGS:
                assert not isinstance(binding, tuple)
                assert binding.id, binding
                assert binding.tooltip, binding


def test_keys_of_the_main_view_differ_as_they_are() -> None:
    assert check_keymap({}, [(MainScreen, ServerTable)], "c.toml") == {}
