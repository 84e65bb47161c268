"""The configuration: `config.toml`, found, read and checked."""

import os
import shlex
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from backends.consul.services import ConsulService
from backends.consul.settings import ConsulSettings
from backends.environment import keep_secret, secret_names
from backends.errors import ConfigError
from backends.file_trust import Untrusted, Writers, open_trusted
from backends.haproxy.address import HaproxySettings
from backends.hooks.kinds import HookSettings
from backends.hosts.ssh import SshSettings
from backends.inventories.kinds import read_nodes
from backends.inventories.toml_text import parse_toml
from backends.placeholders import wrong_placeholders
from backends.suggestion import one_of, there_is
from backends.template import check_host, check_value
from console.decode import decode, decode_list, decode_table
from console.explanation import shown, unknown
from console.log import LogSettings
from console.problems import Problems, mended
from console.settings import AppSettings, ConsoleSettings, JournalSettings, LockSettings, NodeSettings
from orchestrator.freeze import Freeze

FILE = "config.toml"
LONGEST = 4 * 1024 * 1024  # bytes; some 20,000 nodes
T = TypeVar("T")
_ONE_BY_ONE = ("nodes", "hooks", "freeze")  # of an application
TABLES = ("console", "journal", "lock", "log", "consul", "ssh", "haproxy", "hooks", "freeze", "apps")


class Config(msgspec.Struct, kw_only=True, frozen=True):
    """A whole file, decoded."""

    file: str
    writers: Writers | None = None  # who may write it, and files that it names and that bring commands
    console: ConsoleSettings = ConsoleSettings()
    journal: JournalSettings = JournalSettings()
    lock: LockSettings = LockSettings()
    log: LogSettings = LogSettings()
    consul: ConsulSettings | None = None
    ssh: SshSettings
    haproxy: dict[str, HaproxySettings]
    hooks: list[HookSettings] = []
    freeze: list[Freeze] = []
    apps: dict[str, AppSettings]

    def app(self, name: str) -> AppSettings:
        """One application by its name. Raises ConfigError naming those that exist."""
        if name not in self.apps:
            raise ConfigError(
                self.file, "apps", f"no application {name!r}; {there_is(name, sorted(self.apps))}"
            )
        return self.apps[name]

    def nodes_of(self, app: str) -> dict[str, NodeSettings]:
        """The nodes of one application, those too that a file names; of Consul's it knows none.

        Files are read when an application is worked on: one that is broken is no matter of the others.

        Raises:
            ConfigError: that file cannot be used.
        """
        settings = self.app(app)
        if settings.inventory is None or isinstance(settings.inventory, ConsulService):
            return settings.nodes
        key = f"apps.{app}.inventory"
        writers = self.writers or Writers.own()
        listing = read_nodes(settings.inventory, Path(self.file).parent, self.file, key, writers)
        return _nodes(listing.nodes, listing.file, listing.key)

    def haproxy_of(self, app: str) -> dict[str, HaproxySettings]:
        """The load balancers of one application."""
        names = self.app(app).haproxy or list(self.haproxy)
        return {name: self.haproxy[name] for name in names}

    def hooks_of(self, app: str) -> dict[str, HookSettings]:
        """The hooks of one application, by their place in the configuration."""
        own, key = self.app(app).hooks, f"apps.{app}.hooks"
        everywhere = {f"hooks.{index}": each for index, each in enumerate(self.hooks)}
        return everywhere | {f"{key}.{index}": each for index, each in enumerate(own)}

    def freezes_of(self, app: str) -> tuple[Freeze, ...]:
        """When nothing is to be rolled out to one application."""
        return (*self.freeze, *self.app(app).freeze)


def find_and_load(explicit: str | None) -> Config:
    """The configuration that `--config` names, or else that of ./config.toml or the XDG configuration folder.

    Raises:
        ConfigError: there is none, others may have written one that nobody named, or see `load`.
    """
    return load(Path(explicit)) if explicit else load(_find(), named=False)


def _find() -> Path:
    """Where a configuration is. Raises ConfigError: there is none; the text names all places."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    places = [Path(FILE), Path(base) / "rolldeck" / FILE]
    for place in places:
        if os.path.isfile(place):  # Path.is_file raises in a folder that may not be read
            return place
    looked = " and ".join(str(place) for place in places)
    raise ConfigError("", "", f"no configuration: looked for {looked}; `rolldeck init` writes one")


def load(path: Path, *, named: bool = True) -> Config:
    """Read and check a configuration file; not yet the inventories that it names, see `Config.nodes_of`.

    Args:
        path: of the file.
        named: somebody chose this file. It can have any command run, so one that was only found there is
            refused when others than root and we may write it, or a folder on the way to it.

    Raises:
        ConfigError: with the file, the key, what was found and what was expected.
    """
    file = str(path)
    text, writers = _read(path, file, named)
    try:
        return msgspec.structs.replace(parse(parse_toml(text, file), file), writers=writers)
    except RecursionError:
        raise ConfigError(
            file, "", "is not a configuration: its tables or lists are nested too deep"
        ) from None


def _read(path: Path, file: str, named: bool) -> tuple[str, Writers]:
    """The text, and who may write it."""
    own = Writers.own()
    try:
        with path.open("rb") if named else open(open_trusted(path, own), "rb") as stream:
            writers = Writers.also_of(os.fstat(stream.fileno())) if named else own
            content = stream.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise ConfigError(file, "", f"is not a configuration: it is longer than {LONGEST} bytes")
        return content.decode(), writers
    except Untrusted as error:
        raise ConfigError(file, "", _untrusted(file, error)) from None
    except OSError as error:
        raise ConfigError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(file, "", "is not UTF-8 text") from None


def _untrusted(file: str, error: Untrusted) -> str:
    by_sudo = os.geteuid() == 0 and "SUDO_UID" in os.environ
    sudo = "; under sudo only root's own files count" if by_sudo else ""
    return (
        f"is not used: {error.strerror}{sudo}. A configuration can have any command run;"
        f" if this one is meant: --config {shlex.quote(file)}"
    )


def parse(raw: dict[str, Any], file: str) -> Config:
    """Check a decoded TOML document; see `load`. Everything that is wrong with it is said at once."""
    problems = Problems()
    for key in raw:
        if key not in TABLES:
            problems.add(file, key, unknown(key, TABLES))
    keep_secret(secret_names(raw))

    def table(key: str, kind: type[T], otherwise: T) -> T:
        return problems.collect(partial(decode, raw.get(key, {}), kind, file, key), otherwise)

    def tables(key: str, kind: type[T]) -> list[T]:
        return problems.collect(partial(decode_list, raw.get(key, []), kind, file, key), [])

    balancers = raw.get("haproxy", {})
    config = Config(
        file=file,
        console=table("console", ConsoleSettings, ConsoleSettings()),
        journal=table("journal", JournalSettings, JournalSettings()),
        lock=table("lock", LockSettings, LockSettings()),
        log=table("log", LogSettings, LogSettings()),
        consul=table("consul", ConsulSettings, None) if "consul" in raw else None,
        ssh=table("ssh", SshSettings, SshSettings()),
        haproxy=problems.collect(partial(decode_table, balancers, HaproxySettings, file, "haproxy"), {}),
        hooks=tables("hooks", HookSettings),
        freeze=tables("freeze", Freeze),
        apps={},
    )
    known = list(balancers) if isinstance(balancers, dict) else None
    for name in known or ():
        problems.collect(partial(_name, name, file, "haproxy"), name)
    apps = raw.get("apps", {})
    if not isinstance(apps, dict):
        problems.add(file, "apps", f"found {shown(apps)}, expected a table of named tables")
        apps = None
    told = bool(apps) and all(isinstance(app, dict) and "load_balancers" in app for app in apps.values())
    if known == [] and not told:
        problems.add(file, "haproxy", "found none, expected at least one [haproxy.NAME] table")
    if apps == {}:
        problems.add(file, "apps", "found none, expected at least one [apps.NAME] table")
    for name, value in (apps or {}).items():
        problems.collect(partial(_name, name, file, "apps"), name)
        app = problems.collect(partial(_app, value, known, file, f"apps.{name}"), None)
        if app is not None:
            config.apps[name] = app
    if "consul" not in raw:
        problems.collect(partial(_need_consul, config), None)
    if config.consul is not None:
        problems.collect(partial(_check_placeholders, config.consul, file, "consul"), None)
    problems.raise_any(raw)
    return config


def _need_consul(config: Config) -> None:
    """What Consul is asked for, and not where it is."""
    asked = ["lock.kind"] if config.lock.kind == "consul" else []
    for name, app in config.apps.items():
        asked += [f"apps.{name}.inventory"] if isinstance(app.inventory, ConsulService) else []
        asked += [f"apps.{name}.load_balancers"] if app.load_balancers is not None else []
    if asked:
        raise ConfigError(
            config.file, asked[0], "asks Consul, and there is no [consul] table that says where"
        )


def _app(table: Any, balancers: Collection[str] | None, file: str, key: str) -> AppSettings:
    """One application; `balancers` are the names that there are, None where nobody knows."""
    problems, nodes = Problems(), dict[str, NodeSettings]()
    given = table if isinstance(table, dict) else {}
    # These are decoded one by one, so that an error names the node, and one of them hides no other.
    rest = {name: value for name, value in given.items() if name not in _ONE_BY_ONE} if given else table
    app = problems.collect(partial(decode, rest, AppSettings, file, key), None)
    seen = app or mended(rest, AppSettings)
    if seen is not None:
        problems.collect(partial(_check_placeholders, seen, file, key), None)
    hooks, freeze = list[HookSettings](), list[Freeze]()
    listed = partial(decode_list, file=file)
    hooks = problems.collect(partial(listed, given.get("hooks", []), HookSettings, key=f"{key}.hooks"), hooks)
    freeze = problems.collect(partial(listed, given.get("freeze", []), Freeze, key=f"{key}.freeze"), freeze)
    if given.get("haproxy") and "load_balancers" in given:
        problems.add(file, f"{key}.load_balancers", f"found beside {key}.haproxy, expected only one of them")
    if "inventory" in given and "nodes" in given:
        problems.add(file, f"{key}.inventory", f"found beside {key}.nodes, expected only one of them")
    nodes = problems.collect(partial(_nodes, given.get("nodes", {}), file, f"{key}.nodes"), nodes)
    names = given.get("haproxy", [])
    if balancers is not None and isinstance(names, list):
        for name in names:
            if isinstance(name, str) and name not in balancers:
                problems.add(file, f"{key}.haproxy", f"found {shown(name)}, {one_of(name, balancers)}")
    problems.raise_any()
    whole = cast("AppSettings", app)  # None would have been an error
    return msgspec.structs.replace(whole, nodes=nodes, hooks=hooks, freeze=freeze)


def _check_placeholders(settings: msgspec.Struct, file: str, key: str) -> None:
    problems = Problems()
    for place, problem in wrong_placeholders(settings, key):
        problems.add(file, place, problem)
    problems.raise_any()


def _nodes(raw: Any, file: str, key: str) -> dict[str, NodeSettings]:
    if not isinstance(raw, dict):
        return decode_table(raw, NodeSettings, file, key)
    problems, nodes = Problems(), dict[str, NodeSettings]()
    for name, value in raw.items():
        if problems.full:
            break
        problems.collect(partial(_name, name, file, key), name)
        node = problems.collect(partial(decode, value, NodeSettings, file, f"{key}.{name}"), None)
        if node is None:
            continue
        nodes[name] = node
        if node.prefix:
            problems.collect(partial(_check_placeholders, node, file, f"{key}.{name}"), None)
        for field in ("address", "ssh", "ssh_user"):
            if given := getattr(node, field):
                problems.collect(partial(_checked, check_host, given, file, f"{key}.{name}.{field}"), given)
    problems.raise_any()
    return nodes


def _name(value: str, file: str, key: str) -> str:
    return _checked(check_value, value, file, key)


def _checked(check: Callable[[str, str], str], value: str, file: str, key: str) -> str:
    try:
        return check(key, value)
    except ConfigError as error:
        raise ConfigError(file, key, error.problem) from None
