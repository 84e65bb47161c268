"""The configured keys, checked before the console opens."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, format_key

from backends.errors import ConfigError
from console.config.explanation import describe_unknown_key
from console.tui.rollout_keys import RolloutKeys
from console.tui.screens.chart import ChartScreen
from console.tui.screens.command_output import CommandOutput
from console.tui.screens.detail import DetailScreen, TranscriptScreen
from console.tui.screens.fleet import FleetScreen
from console.tui.screens.help import HelpScreen, HelpSearch
from console.tui.screens.history import HistoryFilter, HistoryScreen
from console.tui.screens.history_entry import EntryScreen
from console.tui.screens.main import MainScreen
from widgets.detail.log_view import LogLines, LogView
from widgets.detail.view import DetailView
from widgets.dialogs.base import Dialog
from widgets.dialogs.elements import InlineButton, RadioList
from widgets.dialogs.modal import QuitDialog
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.result import ResultScreen
from widgets.dialogs.upgrade import UpgradeDialog
from widgets.dialogs.version_list import VersionInput
from widgets.fleet.picker import ApplicationPicker
from widgets.fleet.table import FleetTable
from widgets.history.entry_table import EntryTable
from widgets.panes.events_pane import EventsPane
from widgets.rollout_board import RolloutBoard
from widgets.searchable_lines import Search
from widgets.table.widget import ServerTable
from widgets.transcript import Lines, Transcript
from widgets.typed_line import FilterInput

Group = Sequence[type[DOMNode]]
"""Classes whose keys are active at the same time."""

_NAMED = {key.value for key in Keys} | {"space"}
_MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")


def check_keymap(
    keys: Mapping[str, str], groups: Sequence[Group], file: str, everywhere: Sequence[Binding] = ()
) -> dict[str, str]:
    """Return the keymap for Textual.

    Args:
        keys: of the configuration: one or several keys, separated by commas, by the id of a binding.
        groups: which classes have bindings.
        file: of the configuration, for errors.
        everywhere: the bindings of the application, which work beside those of each group.

    Raises:
        ConfigError: no such id, no such key, or a key that already does something else.
    """
    bindings = [[*everywhere, *_bindings(group)] for group in groups]
    known = {binding.id for group in bindings for binding in group if binding.id}
    for name, text in keys.items():
        where = f"console.keys.{name}"
        if name not in known:
            raise ConfigError(file, where, describe_unknown_key(name, sorted(known)))
        for key in text.split(","):
            _check_key(key.strip(), file, where, "u, f5, ctrl+d or space")
    keymap = {name: ",".join(part.strip() for part in text.split(",")) for name, text in keys.items()}
    for group in bindings:
        _refuse_clashes(keymap, group, file)
    return keymap


def check_command_keys(
    keys: Sequence[str], keymap: Mapping[str, str], file: str, everywhere: Iterable[Binding] = ()
) -> None:
    """Check the keys of `[[commands]]`, which must do nothing else in any view.

    Args:
        keys: one of each command, in the order of the configuration.
        keymap: other keys of the console's own actions, as `check_keymap` returns them.
        file: of the configuration, for errors.
        everywhere: the bindings of the application, which work in every view.

    Raises:
        ConfigError: no such key, or one that already does something else.
    """
    users: dict[str, str] = {}
    for bindings in (everywhere, *map(_bindings, PAGES)):
        for key, name in _list_keys(bindings, keymap):
            users.setdefault(key, repr(name))
    for index, key in enumerate(keys):
        where = f"commands.{index}.key"
        _check_key(key.strip(), file, where, "f5, ctrl+u or D")
        if (other := users.get(_normalize(key))) is not None:
            raise ConfigError(file, where, f"{key} is the key of {other} already; choose another one")
        users[_normalize(key)] = f"commands.{index}"


def _bindings(group: Group) -> Iterator[Binding]:
    """Yield the bindings of each class and of those that it inherits from, a binding for each key."""
    for owner in group:
        for _, binding in owner._merged_bindings or ():
            yield binding


def _list_keys(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each key, as `_normalize` returns it, with the name of the action that it starts."""
    for binding in bindings:
        configured = keymap.get(binding.id, "") if binding.id else ""
        for key in (configured or binding.key).split(","):
            yield _normalize(key), binding.id or binding.action


def _refuse_clashes(keymap: Mapping[str, str], bindings: Sequence[Binding], file: str) -> None:
    """Raise ConfigError when a key would do two things that did only one by itself."""
    usual = set(_list_keys(bindings, {}))
    users: dict[str, str] = {}
    for key, name in _list_keys(bindings, keymap):
        other = users.setdefault(key, name)
        changed = next((one for one in (name, other) if one in keymap and (key, one) not in usual), None)
        if other != name and changed is not None:
            kept = other if changed == name else name
            way_out = (
                "change both" if any(kept == binding.id for binding in bindings) else "choose another one"
            )
            raise ConfigError(
                file, f"console.keys.{changed}", f"{key} is the key of {kept!r} already; {way_out}"
            )


def _normalize(key: str) -> str:
    """Return the same name for "?" and "question_mark"."""
    key = key.strip()
    return format_key(key)


def _check_key(key: str, file: str, where: str, examples: str) -> None:
    """Raise ConfigError for a text that names no key."""
    if not _is_key(key):
        raise ConfigError(file, where, f"found {key!r}, expected a key such as {examples}")


def _is_key(key: str) -> bool:
    *modifiers, last = key.rsplit("+", 1) if len(key) > 1 else ("", key)
    if not last.isprintable() or last.isspace() or not last:
        return False
    named = len(last) == 1 or last in _NAMED or format_key(last) != last
    return named and all(modifier in _MODIFIERS for part in modifiers if part for modifier in part.split("+"))


PAGES: tuple[Group, ...] = (
    (RolloutKeys, MainScreen, ServerTable),
    (RolloutKeys, MainScreen, EventsPane),
    (RolloutKeys, FleetScreen, FleetTable),
    (RolloutKeys, DetailScreen, DetailView),
    (RolloutKeys, DetailScreen, LogView, LogLines),
    (RolloutKeys, MainScreen, RolloutBoard),
    (RolloutKeys, TranscriptScreen, Transcript, Lines),
    (RolloutKeys, CommandOutput, LogView, LogLines),
    (RolloutKeys, ChartScreen),
    (RolloutKeys, PlanScreen, InlineButton),
    (RolloutKeys, ResultScreen, InlineButton),
    (RolloutKeys, HistoryScreen, EntryTable),
    (RolloutKeys, EntryScreen),
)
"""Where the application's keys work too."""

GROUPS: tuple[Group, ...] = (
    *PAGES,
    (RolloutKeys, TranscriptScreen, Transcript, Search),
    (RolloutKeys, MainScreen, FilterInput),
    (RolloutKeys, FleetScreen, FilterInput),
    (RolloutKeys, HistoryScreen, HistoryFilter),
    (HelpScreen, HelpSearch),
    (Dialog, InlineButton),
    (QuitDialog, InlineButton),
    (UpgradeDialog, VersionInput),
    (UpgradeDialog, RadioList),
    (ApplicationPicker,),
)
