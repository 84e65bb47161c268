"""The configuration file: the tables that it may have, and how it is found and read."""

import hashlib
import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from backends.consul.settings import ConsulSettings
from backends.errors import ConfigError
from backends.file_trust import Untrusted, Writers, open_trusted
from backends.haproxy.address import HaproxySettings
from backends.hosts.ssh_settings import SshSettings
from backends.inventories.files import parse_toml
from backends.local_machine import keep_secret, secret_names
from backends.templates import check_value, wrong_placeholders
from backends.text import one_of
from console.config.decoding import decode, decode_list, decode_table, repair
from console.config.explanation import describe_unknown_key, format_value
from console.config.own_commands import OwnCommandSettings
from console.config.problems import Problems
from console.debug_log import LogSettings
from console.paths import find_config
from orchestrator.inventory.kinds import needs_consul
from orchestrator.inventory.source import NodeSettings
from orchestrator.planning.application import Freeze
from orchestrator.settings import (
    ApplicationSettings,
    HookSettings,
    JournalSettings,
    LockSettings,
    Settings,
    find_node_problems,
)

MAX_FILE_BYTES = 4 * 1024 * 1024  # bytes; some 20,000 nodes

T = TypeVar("T")
_ONE_BY_ONE = ("nodes", "hooks", "freeze")  # of an application


ThemeName = Literal[
    "dark",
    "light",
    "high-contrast",
    "ansi-dark",
    "ansi-light",
    "atom-one-dark",
    "atom-one-light",
    "catppuccin-frappe",
    "catppuccin-latte",
    "catppuccin-macchiato",
    "catppuccin-mocha",
    "dracula",
    "flexoki",
    "gruvbox",
    "monokai",
    "nord",
    "rose-pine",
    "rose-pine-dawn",
    "rose-pine-moon",
    "solarized-dark",
    "solarized-light",
    "textual-dark",
    "textual-light",
    "tokyo-night",
]
"""Rolldeck's own themes, and all of Textual's: `console.tui.themes` has their colors."""


class ConsoleSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The `[console]` table."""

    theme: ThemeName = "dark"
    interval: float = 1.0  # seconds between two polls of a load balancer
    # How to call an operator when a rollout asks, a node has failed, or it has ended.
    notify: tuple[Literal["bell", "desktop", "title"], ...] = ("bell", "desktop", "title")
    keys: dict[str, str] = {}  # other keys, by the id of their binding: see `console.tui.keymap`

    def __post_init__(self) -> None:
        if not 0.2 <= self.interval <= 60:
            raise ValueError(f"interval: found {self.interval:g}, expected 0.2 to 60 seconds")


class Config(Settings, kw_only=True, frozen=True):
    """A whole configuration file, decoded: the tables of the engine and those of the front ends.

    Attributes:
        digest: of the file's content, by which another process knows that it has read the same.
    """

    console: ConsoleSettings = ConsoleSettings()
    log: LogSettings = LogSettings()
    commands: tuple[OwnCommandSettings, ...] = ()  # of the operator's own, for the console
    digest: str = ""

    def decode_nodes(self, raw: Mapping[str, Any], file: str, key: str) -> dict[str, NodeSettings]:
        """Decode nodes as `Settings.decode_nodes` does, but report all errors at once."""
        return _decode_nodes(raw, file, key)


_DEFAULT_TABLES: dict[str, type[msgspec.Struct]] = {
    "console": ConsoleSettings,
    "journal": JournalSettings,
    "lock": LockSettings,
    "log": LogSettings,
    "ssh": SshSettings,
}
"""Tables that have defaults for all of their keys; each is the field of `Config` of the same name."""

_TABLE_LISTS: dict[str, type[msgspec.Struct]] = {
    "hooks": HookSettings,
    "freeze": Freeze,
    "commands": OwnCommandSettings,
}
TABLES = (*_DEFAULT_TABLES, *_TABLE_LISTS, "consul", "haproxy", "apps")


def parse(raw: dict[str, Any], file: str) -> Config:
    """Check a decoded TOML document and return the configuration; all errors are reported at once."""
    problems = Problems()
    for key in raw:
        if key not in TABLES:
            problems.add(file, key, describe_unknown_key(key, TABLES))
    keep_secret(secret_names(raw))

    def table(key: str, kind: type[T], otherwise: T) -> T:
        return problems.collect(partial(decode, raw.get(key, {}), kind, file, key), otherwise)

    def tables(key: str, kind: type[T]) -> list[T]:
        return problems.collect(partial(decode_list, raw.get(key, []), kind, file, key), [])

    balancers = raw.get("haproxy", {})
    decoded: dict[str, Any] = {key: table(key, kind, kind()) for key, kind in _DEFAULT_TABLES.items()}
    decoded |= {key: tables(key, kind) for key, kind in _TABLE_LISTS.items()}
    config = Config(
        file=file,
        consul=table("consul", ConsulSettings, None) if "consul" in raw else None,
        haproxy=problems.collect(partial(decode_table, balancers, HaproxySettings, file, "haproxy"), {}),
        apps={},
        **decoded,
    )
    known = list(balancers) if isinstance(balancers, dict) else None
    for name in known or ():
        problems.collect(partial(_check_name, name, file, "haproxy"), name)
    config.apps.update(_decode_apps(raw.get("apps", {}), known, file, problems))
    if "consul" not in raw:
        problems.collect(partial(_check_consul, config), None)
    if config.consul is not None:
        problems.collect(partial(_check_placeholders, config.consul, file, "consul"), None)
    problems.raise_any(raw)
    return config


def _check_consul(config: Config) -> None:
    """Raise ConfigError when something needs Consul and there is no `[consul]` table."""
    keys = ["lock.kind"] if config.lock.kind == "consul" else []
    for name, app in config.apps.items():
        keys += [f"apps.{name}.inventory"] if needs_consul(app.inventory) else []
        keys += [f"apps.{name}.load_balancers"] if app.load_balancers is not None else []
    if keys:
        raise ConfigError(config.file, keys[0], "needs Consul, but there is no [consul] table")


def _decode_apps(
    apps: Any, balancers: Collection[str] | None, file: str, problems: Problems
) -> Iterator[tuple[str, ApplicationSettings]]:
    """Yield each valid application with its name; collect what is wrong with the others."""
    if not isinstance(apps, dict):
        problems.add(file, "apps", f"found {format_value(apps)}, expected a table of named tables")
        apps = None
    from_consul = bool(apps) and all(
        isinstance(app, dict) and "load_balancers" in app for app in apps.values()
    )
    if balancers is not None and not balancers and not from_consul:
        problems.add(file, "haproxy", "found none, expected at least one [haproxy.NAME] table")
    if apps == {}:
        problems.add(file, "apps", "found none, expected at least one [apps.NAME] table")
    for name, value in (apps or {}).items():
        problems.collect(partial(_check_name, name, file, "apps"), name)
        app = problems.collect(partial(_decode_app, value, balancers, file, f"apps.{name}"), None)
        if app is not None:
            yield name, app


def _decode_app(table: Any, balancers: Collection[str] | None, file: str, key: str) -> ApplicationSettings:
    """Decode one application; `balancers` are the known load balancers, None when they are unknown."""
    problems, nodes = Problems(), dict[str, NodeSettings]()
    given = table if isinstance(table, dict) else {}
    # These are decoded one by one, so that an error names the node, and none hides another.
    rest = {name: value for name, value in given.items() if name not in _ONE_BY_ONE} if given else table
    app = problems.collect(partial(decode, rest, ApplicationSettings, file, key), None)
    readable = app or repair(rest, ApplicationSettings)
    if readable is not None:
        problems.collect(partial(_check_placeholders, readable, file, key), None)
    hooks, freeze = list[HookSettings](), list[Freeze]()
    listed = partial(decode_list, file=file)
    hooks = problems.collect(partial(listed, given.get("hooks", []), HookSettings, key=f"{key}.hooks"), hooks)
    freeze = problems.collect(partial(listed, given.get("freeze", []), Freeze, key=f"{key}.freeze"), freeze)
    if given.get("haproxy") and "load_balancers" in given:
        problems.add(file, f"{key}.load_balancers", f"found beside {key}.haproxy, expected only one of them")
    if "inventory" in given and "nodes" in given:
        problems.add(file, f"{key}.inventory", f"found beside {key}.nodes, expected only one of them")
    nodes = problems.collect(partial(_decode_nodes, given.get("nodes", {}), file, f"{key}.nodes"), nodes)
    names = given.get("haproxy", [])
    if balancers is not None and isinstance(names, list):
        for name in names:
            if isinstance(name, str) and name not in balancers:
                problems.add(file, f"{key}.haproxy", f"found {format_value(name)}, {one_of(name, balancers)}")
    problems.raise_any()
    whole = cast("ApplicationSettings", app)  # None has raised above
    return msgspec.structs.replace(whole, nodes=nodes, hooks=hooks, freeze=freeze)


def _check_placeholders(settings: msgspec.Struct, file: str, key: str) -> None:
    problems = Problems()
    for place, problem in wrong_placeholders(settings, key):
        problems.add(file, place, problem)
    problems.raise_any()


def _decode_nodes(raw: Any, file: str, key: str) -> dict[str, NodeSettings]:
    if not isinstance(raw, dict):
        return decode_table(raw, NodeSettings, file, key)
    problems, nodes = Problems(), dict[str, NodeSettings]()
    for name, value in raw.items():
        if problems.full:
            break
        problems.collect(partial(_check_name, name, file, key), name)
        node = problems.collect(partial(decode, value, NodeSettings, file, f"{key}.{name}"), None)
        if node is None:
            continue
        nodes[name] = node
        for part, problem in find_node_problems(node, f"{key}.{name}"):
            problems.add(file, part, problem)
    problems.raise_any()
    return nodes


def _check_name(value: str, file: str, key: str) -> str:
    try:
        return check_value(key, value)
    except ConfigError as error:
        raise ConfigError(file, key, error.problem) from None


def find_and_load(explicit: str | None) -> Config:
    """Load the file that `--config` names, or else ./config.toml or the one in the XDG configuration folder.

    Raises:
        ConfigError: there is none, it was not named and others may have written it, or see `load`.
    """
    return load(Path(explicit)) if explicit else load(find_config(), named=False)


def load(path: Path, *, named: bool = True) -> Config:
    """Read and check a configuration file, but not yet its inventories; see `FileSource`.

    Args:
        path: of the file.
        named: whether the user has named this file. A configuration can run any command, so a file that
            was only found is refused if anybody but root and this user may write it or a folder above it.

    Raises:
        ConfigError: with the file, the key, what was found and what was expected.
    """
    file = str(path)
    text, writers = _read(path, file, named)
    try:
        found, digest = parse(parse_toml(text, file), file), hashlib.sha256(text.encode()).hexdigest()
        return msgspec.structs.replace(found, writers=writers, digest=digest)
    except RecursionError:
        raise ConfigError(
            file, "", "is not a configuration: its tables or lists are nested too deep"
        ) from None


def _read(path: Path, file: str, named: bool) -> tuple[str, Writers]:
    """Return the text, and who may write the file."""
    own = Writers.own()
    try:
        with path.open("rb") if named else open(open_trusted(path, own), "rb") as stream:
            writers = Writers.also_of(os.fstat(stream.fileno())) if named else own
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(file, "", f"is not a configuration: it is longer than {MAX_FILE_BYTES} bytes")
        return content.decode(), writers
    except Untrusted as error:
        raise ConfigError(file, "", _untrusted_text(file, error)) from None
    except OSError as error:
        raise ConfigError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(file, "", "is not UTF-8 text") from None


def _untrusted_text(file: str, error: Untrusted) -> str:
    by_sudo = os.geteuid() == 0 and "SUDO_UID" in os.environ
    sudo = "; under sudo only root's own files count" if by_sudo else ""
    return (
        f"is not used: {error.strerror}{sudo}. A configuration can have any command run;"
        f" if this one is meant: --config {shlex.quote(file)}"
    )
