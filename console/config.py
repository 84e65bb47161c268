"""The configuration: `config.toml`, found, read and checked."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from backends.template import check_host, check_value
from console.decode import decode, decode_list, decode_table, shown, unknown
from console.log import LogSettings
from console.settings import AppSettings, ConsoleSettings, JournalSettings, LockSettings, NodeSettings
from orchestrator.freeze import Freeze

FILE = "config.toml"
LONGEST = 4 * 1024 * 1024  # bytes; some 20,000 nodes
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
            known = ", ".join(sorted(self.apps)) or "none"
            raise ConfigError(self.file, "apps", f"no application {name!r}; there is: {known}")
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
    """Check a decoded TOML document; see `load`."""
    for key in raw:
        if key not in TABLES:
            raise ConfigError(file, key, unknown(key, TABLES))
    keep_secret(secret_names(raw))
    config = Config(
        file=file,
        console=decode(raw.get("console", {}), ConsoleSettings, file, "console"),
        journal=decode(raw.get("journal", {}), JournalSettings, file, "journal"),
        lock=decode(raw.get("lock", {}), LockSettings, file, "lock"),
        log=decode(raw.get("log", {}), LogSettings, file, "log"),
        consul=decode(raw["consul"], ConsulSettings, file, "consul") if "consul" in raw else None,
        ssh=decode(raw.get("ssh", {}), SshSettings, file, "ssh"),
        haproxy=decode_table(raw.get("haproxy", {}), HaproxySettings, file, "haproxy"),
        hooks=decode_list(raw.get("hooks", []), HookSettings, file, "hooks"),
        freeze=decode_list(raw.get("freeze", []), Freeze, file, "freeze"),
        apps={},
    )
    for name in config.haproxy:
        _name(name, file, "haproxy")
    apps = raw.get("apps", {})
    if not isinstance(apps, dict):
        raise ConfigError(file, "apps", f"found {shown(apps)}, expected a table of named tables")
    told = bool(apps) and all(isinstance(each, dict) and "places" in each for each in apps.values())
    if not config.haproxy and not told:
        raise ConfigError(file, "haproxy", "found none, expected at least one [haproxy.NAME] table")
    if not apps:
        raise ConfigError(file, "apps", "found none, expected at least one [apps.NAME] table")
    for name, table in apps.items():
        config.apps[_name(name, file, "apps")] = _app(table, config, f"apps.{name}")
    _need_consul(config)
    if config.consul is not None:
        _check_placeholders(config.consul, file, "consul")
    return config


def _need_consul(config: Config) -> None:
    """What Consul is asked for, and not where it is."""
    if config.consul is not None:
        return
    asked = ["lock.kind"] if config.lock.kind == "consul" else []
    for name, app in config.apps.items():
        asked += [f"apps.{name}.inventory"] if isinstance(app.inventory, ConsulService) else []
        asked += [f"apps.{name}.places"] if app.places is not None else []
    if asked:
        raise ConfigError(
            config.file, asked[0], "asks Consul, and there is no [consul] table that says where"
        )


def _app(table: Any, config: Config, key: str) -> AppSettings:
    # Nodes are decoded one by one, so that an error names the node.
    rest = {k: v for k, v in table.items() if k != "nodes"} if isinstance(table, dict) else table
    app = decode(rest, AppSettings, config.file, key)
    _check_placeholders(app, config.file, key)
    if app.haproxy and app.places is not None:
        raise ConfigError(
            config.file, f"{key}.places", f"found beside {key}.haproxy, expected only one of them"
        )
    if app.inventory is not None and "nodes" in table:
        problem = f"found beside {key}.nodes, expected only one of them"
        raise ConfigError(config.file, f"{key}.inventory", problem)
    nodes = _nodes(table.get("nodes", {}), config.file, f"{key}.nodes")
    for name in app.haproxy:
        if name not in config.haproxy:
            known = ", ".join(config.haproxy)
            raise ConfigError(config.file, f"{key}.haproxy", f"found {name!r}, expected one of: {known}")
    return msgspec.structs.replace(app, nodes=nodes)


def _check_placeholders(settings: msgspec.Struct, file: str, key: str) -> None:
    for place, problem in wrong_placeholders(settings, key):
        raise ConfigError(file, place, problem)


def _nodes(raw: Any, file: str, key: str) -> dict[str, NodeSettings]:
    nodes = decode_table(raw, NodeSettings, file, key)
    for name, node in nodes.items():
        _name(name, file, key)
        for field in ("address", "ssh", "ssh_user"):
            if value := getattr(node, field):
                _checked(check_host, value, file, f"{key}.{name}.{field}")
    return nodes


def _name(value: str, file: str, key: str) -> str:
    return _checked(check_value, value, file, key)


def _checked(check: Callable[[str, str], str], value: str, file: str, key: str) -> str:
    try:
        return check(key, value)
    except ConfigError as error:
        raise ConfigError(file, key, error.problem) from None
