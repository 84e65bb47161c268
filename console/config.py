"""The configuration: what may stand in `config.toml`. Unknown keys are refused; times are seconds."""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.health.kinds import HealthSettings
from backends.health.simple import TcpHealth
from backends.hooks.kinds import HookSettings
from backends.hosts.ssh import SshSettings
from backends.installers.command import NoInstall
from backends.installers.kinds import InstallSettings
from backends.inventories.kinds import InventorySettings, read_nodes
from backends.services.kinds import ServiceSettings
from backends.template import check_value, check_words
from backends.versions import VersionSettings
from console.decode import decode, decode_list, decode_table, shown, unknown
from console.log import LogSettings
from orchestrator.freeze import Freeze
from orchestrator.mapping import Match
from orchestrator.policy import Policy

FILE = "config.toml"
LONGEST = 4 * 1024 * 1024  # bytes; some 20,000 nodes
TABLES = ("console", "journal", "log", "ssh", "haproxy", "hooks", "freeze", "apps")


class ConsoleSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The console itself."""

    theme: Literal["dark", "light", "ansi-dark", "ansi-light", "high-contrast"] = "dark"
    interval: float = 1.0  # seconds between two looks at a load balancer
    keys: dict[str, str] = {}  # other keys, by the id of what they do: see `console.keys`

    def __post_init__(self) -> None:
        if not 0.2 <= self.interval <= 60:
            raise ValueError(f"interval: found {self.interval:g}, expected 0.2 to 60 seconds")


class JournalSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is kept of every rollout and change by hand."""

    path: str = ""  # default: journal.db in the XDG state folder; the locks are beside it
    keep_days: int = 365  # rollouts that ended healthy are forgotten then; others never

    def __post_init__(self) -> None:
        if self.keep_days < 1:
            raise ValueError(f"keep_days: found {self.keep_days}, expected at least 1")


class Access(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How commands reach a node."""

    via: Literal["ssh", "local"] = "ssh"
    sudo: bool = False  # `sudo -n`: it fails rather than ask for a password
    prefix: str = ""  # before each command, such as "docker exec -i app1"
    port_via: Literal["node", "console"] = "node"  # from where the application's port is looked at

    def __post_init__(self) -> None:
        check_words("prefix", self.prefix)


class NodeSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One node. What is left out comes from the application, or from HAProxy."""

    address: str = ""  # as HAProxy has it; default: HAProxy's own
    port: int = 0
    ssh: str = ""  # host, or a Host of ~/.ssh/config; default: the address
    ssh_user: str = ""  # instead of what [ssh] or ~/.ssh/config says
    ssh_port: int = 0
    servers: list[str] = []  # names in HAProxy, "web1" or "backend/web1"; default: the node's name
    via: Literal["ssh", "local", ""] = ""
    sudo: bool | None = None
    prefix: str | None = None

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("ssh_port", self.ssh_port)):
            if not 0 <= port <= 65535:
                raise ValueError(f"{name}: found {port}, expected 1 to 65535")
        check_words("prefix", self.prefix or "")


class AppSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One application. `nodes` empty: every server of its backends, as HAProxy has them.

    With an `inventory`, `nodes` are those that its file has named when the configuration was loaded.
    """

    backends: list[str]
    service: ServiceSettings
    haproxy: list[str] = []  # names of [haproxy.NAME]; empty: all of them
    match: Match = "name"
    unmanaged_backends: list[str] = []  # where nodes stand too and are left in: requests that way will fail
    port: int = 0  # of nodes that have none of their own; 0: as HAProxy has it
    access: Access = Access()
    nodes: dict[str, NodeSettings] = {}
    inventory: InventorySettings | None = None
    version: VersionSettings | None = None  # how the installed one is read; default: as `install` knows
    install: InstallSettings = NoInstall()
    health: HealthSettings = TcpHealth()
    rollout: Policy = Policy()
    hooks: list[HookSettings] = []  # beside those of all applications
    freeze: list[Freeze] = []  # beside those of all applications

    def __post_init__(self) -> None:
        if not self.backends:
            raise ValueError("backends: found an empty list, expected at least one backend of HAProxy")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: found {self.port}, expected 1 to 65535")


class Config(msgspec.Struct, kw_only=True, frozen=True):
    """A whole file, decoded."""

    file: str
    console: ConsoleSettings = ConsoleSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()
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


def find(explicit: str | None) -> Path:
    """Where the configuration is: `--config`, ./config.toml, or the XDG configuration folder.

    Raises:
        ConfigError: there is none; the text names all places.
    """
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    places = [Path(FILE), Path(base) / "rolldeck" / FILE]
    for place in places:
        if os.path.isfile(place):  # Path.is_file raises in a folder that may not be read
            return place
    looked = " and ".join(str(place) for place in places)
    raise ConfigError("", "", f"no configuration: looked for {looked}; `rolldeck init` writes one")


def load(path: Path) -> Config:
    """Read and check a configuration file, and the inventories that it names.

    Raises:
        ConfigError: with the file, the key, what was found and what was expected.
    """
    file = str(path)
    try:
        return parse(_toml(_text(path, file), file), file)
    except RecursionError:
        raise ConfigError(
            file, "", "is not a configuration: its tables or lists are nested too deep"
        ) from None


def _toml(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, "", f"is not TOML: {error}") from None
    except ValueError:  # Python's limit for the digits of a number
        raise ConfigError(file, "", "is not TOML: a number in it has too many digits") from None


def _text(path: Path, file: str) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise ConfigError(file, "", f"is not a configuration: it is longer than {LONGEST} bytes")
        return content.decode()
    except OSError as error:
        raise ConfigError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(file, "", "is not UTF-8 text") from None


def parse(raw: dict[str, Any], file: str) -> Config:
    """Check a decoded TOML document, and read the inventories that it names; see `load`."""
    for key in raw:
        if key not in TABLES:
            raise ConfigError(file, key, unknown(key, TABLES))
    config = Config(
        file=file,
        console=decode(raw.get("console", {}), ConsoleSettings, file, "console"),
        journal=decode(raw.get("journal", {}), JournalSettings, file, "journal"),
        log=decode(raw.get("log", {}), LogSettings, file, "log"),
        ssh=decode(raw.get("ssh", {}), SshSettings, file, "ssh"),
        haproxy=decode_table(raw.get("haproxy", {}), HaproxySettings, file, "haproxy"),
        hooks=decode_list(raw.get("hooks", []), HookSettings, file, "hooks"),
        freeze=decode_list(raw.get("freeze", []), Freeze, file, "freeze"),
        apps={},
    )
    if not config.haproxy:
        raise ConfigError(file, "haproxy", "found none, expected at least one [haproxy.NAME] table")
    for name in config.haproxy:
        _name(name, file, "haproxy")
    apps = raw.get("apps", {})
    if not isinstance(apps, dict):
        raise ConfigError(file, "apps", f"found {shown(apps)}, expected a table of named tables")
    if not apps:
        raise ConfigError(file, "apps", "found none, expected at least one [apps.NAME] table")
    for name, table in apps.items():
        config.apps[_name(name, file, "apps")] = _app(table, config, f"apps.{name}")
    return config


def _app(table: Any, config: Config, key: str) -> AppSettings:
    # Nodes are decoded one by one, so that an error names the node.
    rest = {k: v for k, v in table.items() if k != "nodes"} if isinstance(table, dict) else table
    app = decode(rest, AppSettings, config.file, key)
    if app.inventory is None:
        nodes = _nodes(table.get("nodes", {}), config.file, f"{key}.nodes")
    elif "nodes" in table:
        problem = f"found beside {key}.nodes, expected only one of them"
        raise ConfigError(config.file, f"{key}.inventory", problem)
    else:
        listing = read_nodes(app.inventory, Path(config.file).parent, config.file, f"{key}.inventory")
        nodes = _nodes(listing.nodes, listing.file, listing.key)
    for name in app.haproxy:
        if name not in config.haproxy:
            known = ", ".join(config.haproxy)
            raise ConfigError(config.file, f"{key}.haproxy", f"found {name!r}, expected one of: {known}")
    return msgspec.structs.replace(app, nodes=nodes)


def _nodes(raw: Any, file: str, key: str) -> dict[str, NodeSettings]:
    nodes = decode_table(raw, NodeSettings, file, key)
    for name, node in nodes.items():
        _name(name, file, key)
        for field in ("address", "ssh", "ssh_user"):
            if value := getattr(node, field):
                _name(value, file, f"{key}.{name}.{field}")
    return nodes


def _name(value: str, file: str, key: str) -> str:
    try:
        return check_value(key, value)
    except ConfigError as error:
        raise ConfigError(file, key, error.problem) from None
