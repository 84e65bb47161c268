"""The settings of the engine: applications, access to nodes, journal and lock. Times are in seconds."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

import backends.hooks
from backends.consul.balancers import ConsulBalancers
from backends.consul.client import MIN_TTL_S, Consul
from backends.consul.settings import ConsulSettings
from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.haproxy.address import HaproxySettings
from backends.health.checks import TcpHealth
from backends.hosts.ssh_settings import SshSettings
from backends.installers.command import NoInstall
from backends.installers.versions import VersionSettings
from backends.kinds import HealthSettings, InstallSettings, ServiceSettings
from backends.local_machine import check_names, secret_names
from backends.templates import NoText, check_host, check_value, check_words, wrong_placeholders
from backends.text import there_is
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.moments import Moment
from orchestrator.inventory.consul import find_balancers
from orchestrator.inventory.kinds import InventorySettings, make_source
from orchestrator.inventory.source import NodeSettings, NodeSource
from orchestrator.planning.application import Freeze, Match, Policy

_MARGIN = 1  # second of a lock's time, to see that it is free and to take it


class HookSettings(backends.hooks.HookSettings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The settings of one hook, a `[[hooks]]` table. Its events are moments of a rollout."""

    events: list[Moment]


class JournalSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The journal: where it is, and for how long entries are kept."""

    path: str = ""  # default: journal.db in the XDG state folder; the locks are beside it
    retention_days: int = 365  # rollouts that ended healthy are forgotten then; others never

    def __post_init__(self) -> None:
        if self.retention_days < 1:
            raise ValueError(f"retention_days: found {self.retention_days}, expected at least 1")


class LockSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The settings of the lock: for this machine, or for all machines that use one Consul."""

    kind: Literal["local", "consul"] = "local"
    ttl: int = 30  # seconds after which somebody else can take over from one that has died
    lock_delay: int = 5  # the last of these seconds: nobody gets the lock, since a command may still arrive
    fallback: Literal["refuse", "local"] = "refuse"  # when Consul cannot be asked

    def __post_init__(self) -> None:
        if not 0 <= self.lock_delay <= 60:
            raise ValueError(f"lock_delay: found {self.lock_delay}, expected 0 to 60 seconds")
        shortest = 2 * MIN_TTL_S + _MARGIN + self.lock_delay
        if not shortest <= self.ttl <= 3600:
            raise ValueError(
                f"ttl: found {self.ttl}, expected {shortest} to 3600 seconds, with a lock_delay"
                f" of {self.lock_delay} ({shortest - self.lock_delay} + lock_delay at least)"
            )

    @property
    def session_ttl(self) -> int:
        """The TTL of the session in Consul, which ends a session only after twice that time."""
        return (self.ttl - self.lock_delay - _MARGIN) // 2


class Access(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The settings of access to nodes: how commands reach them."""

    transport: Literal["ssh", "local"] = "ssh"
    sudo: bool = False  # `sudo -n`: it fails rather than ask for a password
    prefix: NoText = ""  # before each command, such as "docker exec -i app1"
    port_check_from: Literal["node", "console"] = "node"  # from where the application's port is checked
    env: list[str] = []  # variables that commands of this machine get besides a few

    def __post_init__(self) -> None:
        check_words("prefix", self.prefix)
        check_names(self.env)


class ApplicationSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The settings of one application.

    Its nodes are those of the source in `inventory`, else `nodes`, else every server of its backends.
    """

    backends: list[str]
    service: ServiceSettings
    haproxy: list[str] = []  # names of [haproxy.NAME]; empty: all of them
    match: Match = "name"
    ignored_backends: list[str] = []  # where nodes stay in rotation, so that requests there will fail
    port: int = 0  # of nodes that have none of their own; 0: as HAProxy has it
    access: Access = Access()
    nodes: dict[str, NodeSettings] = {}
    inventory: InventorySettings | None = None  # the source of the nodes, if not the configuration
    load_balancers: ConsulBalancers | None = None  # in Consul, instead of [haproxy.NAME]
    version: VersionSettings | None = None  # how to read the installed version; default: as `install` does
    install: InstallSettings = NoInstall()
    health: HealthSettings | None = None  # None: the open port alone
    rollout: Policy = Policy()
    canary: CanarySettings = CanarySettings()
    hooks: list[HookSettings] = []  # beside those of all applications
    freeze: list[Freeze] = []  # beside those of all applications

    def __post_init__(self) -> None:
        if not self.backends:
            raise ValueError("backends: found an empty list, expected at least one backend of HAProxy")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: found {self.port}, expected 1 to 65535")

    @property
    def health_check(self) -> HealthSettings:
        """The settings of its own health check; by default, only whether its port is open."""
        return self.health if self.health is not None else TcpHealth()


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """All settings of the engine, from one configuration file.

    Attributes:
        file: the configuration, for errors; relative paths of inventories begin in its folder.
        writers: who may write it, and files that it names and that bring commands; None: root and we.
    """

    file: str = ""
    writers: Writers | None = None
    journal: JournalSettings = JournalSettings()
    lock: LockSettings = LockSettings()
    consul: ConsulSettings | None = None
    ssh: SshSettings = SshSettings()
    haproxy: dict[str, HaproxySettings]
    hooks: list[HookSettings] = []
    freeze: list[Freeze] = []
    apps: dict[str, ApplicationSettings]

    def app(self, name: str) -> ApplicationSettings:
        """Return one application by its name. Raises ConfigError naming those that exist."""
        if name not in self.apps:
            raise ConfigError(
                self.file, "apps", f"no application {name!r}; {there_is(name, sorted(self.apps))}"
            )
        return self.apps[name]

    def decode_nodes(self, raw: Mapping[str, Any], file: str, key: str) -> dict[str, NodeSettings]:
        """Return the nodes in a file.

        Args:
            raw: their tables as written, by name.
            file: the file that has them, for errors.
            key: of the tables in it, for errors.

        Raises:
            ConfigError: a node that cannot be used; only the first one is reported.
        """
        nodes = {}
        for name, table in raw.items():
            own = f"{key}.{name}"
            try:
                check_value(key, name)
                node = nodes[name] = msgspec.convert(table, NodeSettings)
            except ConfigError as error:
                raise ConfigError(file, key, error.problem) from None
            except msgspec.ValidationError as error:
                raise ConfigError(file, own, str(error)) from None
            for part, problem in find_node_problems(node, own):
                raise ConfigError(file, part, problem)
        return nodes

    def haproxy_of(self, app: str) -> dict[str, HaproxySettings]:
        """Return the load balancers of one application that are in the configuration."""
        names = self.app(app).haproxy or list(self.haproxy)
        return {name: self.haproxy[name] for name in names}

    def source_of(self, app: str, consul: Consul | None) -> NodeSource:
        """Return the source of one application's nodes; `consul` where there is one."""
        own, writers = self.app(app), self.writers or Writers.own()
        return make_source(own.inventory, own.nodes, self.decode_nodes, consul, self.file, app, writers)

    async def find_haproxy(self, app: str, consul: Consul | None) -> Mapping[str, HaproxySettings]:
        """Return the load balancers of one application, from the configuration or from Consul.

        Raises:
            ConfigError: what Consul has cannot be used, or it has nothing.
            BackendError: Consul could not be asked.
        """
        places = self.app(app).load_balancers
        if consul is None or places is None:
            return self.haproxy_of(app)
        return await find_balancers(consul, places, self.file, app)

    def nodes_key(self, app: str) -> str:
        """Return the key of the nodes of one application in the configuration, for errors."""
        return f"apps.{app}.inventory" if self.app(app).inventory else f"apps.{app}.nodes"

    def hooks_of(self, app: str) -> dict[str, HookSettings]:
        """Return the hooks of one application, by their keys in the configuration."""
        own, key = self.app(app).hooks, f"apps.{app}.hooks"
        everywhere = {f"hooks.{index}": hook for index, hook in enumerate(self.hooks)}
        return everywhere | {f"{key}.{index}": hook for index, hook in enumerate(own)}

    def secret_variables(self) -> set[str]:
        """Return the names of environment variables with secrets, which no other process may get."""
        apps = [replace(app, nodes={}) for app in self.apps.values()]  # nodes may be thousands, without any
        whole = {"consul": [self.consul], "haproxy": self.haproxy, "hooks": self.hooks, "apps": apps}
        return secret_names(msgspec.to_builtins(whole))

    def freezes_of(self, app: str) -> tuple[Freeze, ...]:
        """Return the freeze windows of one application."""
        return (*self.freeze, *self.app(app).freeze)


def find_node_problems(node: NodeSettings, key: str) -> Iterator[tuple[str, str]]:
    """Yield what of a node cannot be used in commands: its key, and what is wrong with it.

    Args:
        node: as it was decoded.
        key: of the node, for errors.
    """
    if node.prefix:
        yield from wrong_placeholders(node, key)
    for field in ("address", "ssh", "ssh_user"):
        own = f"{key}.{field}"
        if given := getattr(node, field):
            try:
                check_host(own, given)
            except ConfigError as error:
                yield own, error.problem
