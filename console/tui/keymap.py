"""The configured keys, checked before the console opens."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from textual.app import App
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.keys import Keys, format_key

from backends.errors import ConfigError
from console.config.explanation import describe_unknown_key
from console.tui.rollout_keys import RolloutKeys
from console.tui.screens.chart import ChartScreen
from console.tui.screens.command_output import CommandOutput
from console.tui.screens.detail import DetailScreen, TranscriptScreen
from console.tui.screens.fleet import FleetScreen
from console.tui.screens.history import HistoryScreen
from console.tui.screens.history_entry import EntryScreen
from console.tui.screens.main import MainScreen
from widgets.detail.log_view import LogView
from widgets.detail.view import DetailView
from widgets.dialogs.base import Report
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.result import ResultScreen
from widgets.fleet.picker import ApplicationPicker
from widgets.fleet.table import FleetTable
from widgets.history.entry_table import EntryTable
from widgets.panes.events_pane import EventsPane
from widgets.rollout_board import RolloutBoard
from widgets.searchable_lines import SearchableLines
from widgets.table.widget import ServerTable
from widgets.transcript import Transcript

Group = Sequence[type[DOMNode]]
"""Classes whose keys are active at the same time."""

_NAMED = {key.value for key in Keys} | {"space"}
_MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")


def check_keymap(keys: Mapping[str, str], groups: Sequence[Group], file: str) -> dict[str, str]:
    """Return the keymap for Textual.

    Args:
        keys: of the configuration: one or several keys, separated by commas, by the id of a binding.
        groups: which classes have bindings.
        file: of the configuration, for errors.

    Raises:
        ConfigError: no such id, no such key, or a key that already does something else.
    """
    known = {binding.id for group in groups for binding in _bindings(group) if binding.id}
    for name, text in keys.items():
        where = f"console.keys.{name}"
        if name not in known:
            raise ConfigError(file, where, describe_unknown_key(name, sorted(known)))
        for key in text.split(","):
            _check_key(key.strip(), file, where, "u, f5, ctrl+d or space")
    keymap = {name: ",".join(part.strip() for part in text.split(",")) for name, text in keys.items()}
    for group in groups:
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
    for bindings in (everywhere, *map(_bindings, GROUPS)):
        for key, name in _list_keys(bindings, keymap):
            users.setdefault(key, repr(name))
    for index, key in enumerate(keys):
        where = f"commands.{index}.key"
        _check_key(key.strip(), file, where, "f5, ctrl+u or D")
        if (other := users.get(_normalize(key))) is not None:
            raise ConfigError(file, where, f"{key} is the key of {other} already; choose another one")
        users[_normalize(key)] = f"commands.{index}"


def _bindings(group: Group) -> Iterable[Binding]:
    for owner in group:
        yield from _own(owner.BINDINGS)


def _own(bindings: Iterable[BindingType]) -> Iterable[Binding]:
    return (binding for binding in bindings if isinstance(binding, Binding))


def _list_keys(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each key, as `_normalize` returns it, with the name of the action that it starts."""
    for binding in bindings:
        name = binding.id or binding.action
        for key in keymap.get(name, binding.key).split(","):
            yield _normalize(key), name


def _refuse_clashes(keymap: Mapping[str, str], group: Group, file: str) -> None:
    """Raise ConfigError when a configured key would do two things."""
    users: dict[str, str] = {}
    for key, name in _list_keys(_bindings(group), keymap):
        other = users.setdefault(key, name)
        if other != name and (name in keymap or other in keymap):
            changed, kept = (name, other) if name in keymap else (other, name)
            raise ConfigError(
                file, f"console.keys.{changed}", f"{key} is the key of {kept!r} already; change both"
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


GROUPS: tuple[Group, ...] = (
    (App, RolloutKeys, MainScreen, ServerTable),
    (App, RolloutKeys, MainScreen, EventsPane),
    (App, RolloutKeys, FleetScreen, FleetTable),
    (ApplicationPicker,),
    (DetailScreen, DetailView),
    (DetailScreen, SearchableLines, LogView),
    (RolloutBoard,),
    (TranscriptScreen, SearchableLines, Transcript),
    (CommandOutput, SearchableLines, LogView),
    (ChartScreen,),
    (PlanScreen, Report),
    (ResultScreen, Report),
    (HistoryScreen, EntryTable),
    (EntryScreen, Report),
)
