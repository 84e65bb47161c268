"""From settings to adapters. Nothing is opened here; what is slow to import is imported when it is needed."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import msgspec

from backends.consul.catalog import ConsulService
from backends.consul.client import Consul
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings, SshAddress
from backends.haproxy.runtime import Runtime
from backends.health.kinds import HealthChecks
from backends.hooks.kinds import make_hook
from backends.hosts.local import LocalHost
from backends.hosts.ports import ConsolePort, NodeConnections, NodePort
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.installers.kinds import creates_containers, default_version, make_installer
from backends.local_process import LOGIN, base_environment, operator_environment
from backends.protocols import Hook, Host, LoadBalancer, Recorder, Registration
from backends.services.container import ContainerSettings
from backends.services.kinds import make_service
from backends.templates import fill_plain
from console.config.schema import Config
from console.inventory import Member
from orchestrator.node import Node
from orchestrator.settings import ApplicationSettings

RESOLVE_SECONDS = 5.0  # for the name of a node; without an answer only the name itself is compared


class Wiring:
    """Builds the adapters of one configuration; `close` closes all that they have opened."""

    def __init__(self, config: Config, recorder: Recorder, consul: Consul | None = None) -> None:
        self._config = config
        self._consul = consul
        self._recorder = recorder
        self._connecting = asyncio.Semaphore(config.ssh.max_concurrent_logins)
        self._open = AsyncExitStack()
        self._console = LocalHost("here", recorder=recorder)
        self._tools = LocalHost("here", recorder=recorder, environment=operator_environment)

    async def close(self) -> None:
        await self._open.aclose()

    def balancers(self, app: str) -> list[LoadBalancer]:
        """The load balancers in front of an application."""
        return [self.balancer(name, each) for name, each in self._config.haproxy_of(app).items()]

    def balancer(self, name: str, settings: HaproxySettings) -> LoadBalancer:
        """One load balancer."""
        if settings.stats_url:
            from backends.haproxy.stats_page import StatsPage

            return StatsPage(name, settings)
        address = settings.address()
        if not isinstance(address, SshAddress):
            return Runtime(name, settings, recorder=self._recorder)
        ssh = self._config.ssh
        host = self._ssh(
            name,
            address.host,
            msgspec.structs.replace(ssh, user=address.user or ssh.user, port=address.port or ssh.port),
        )
        return Runtime(
            name,
            settings,
            connect_timeout=settings.timeout + ssh.connect_timeout + ssh.login_timeout,  # of the way there
            open_unix=host.open_unix,
            read_file=host.read_file,
            recorder=self._recorder,
        )

    def hooks(self, app: str) -> tuple[Hook, ...]:
        """What is told of an application's rollouts."""
        return tuple(make_hook(each, what) for what, each in self._config.hooks_of(app).items())

    async def nodes(self, name: str, app: ApplicationSettings, places: Sequence[Member]) -> list[Node]:
        """The nodes of an application with their adapters.

        Raises:
            ConfigError: the settings do not fit together.
        """
        checks = HealthChecks(app.health_check, f"apps.{name}.health", self._console)
        self._open.push_async_callback(checks.close)
        return list(await asyncio.gather(*(self._node(name, app, each, checks) for each in places)))

    async def _node(self, name: str, app: ApplicationSettings, member: Member, checks: HealthChecks) -> Node:
        own = member.settings
        sudo = app.access.sudo if own.sudo is None else own.sudo
        prefix = app.access.prefix if own.prefix is None else own.prefix
        host: Host
        if (own.transport or app.access.transport) == "local":
            host = LocalHost(
                member.name,
                sudo=sudo,
                prefix=prefix,
                recorder=self._recorder,
                environment=partial(base_environment, app.access.env, of=LOGIN),
            )
        else:
            ssh = self._config.ssh
            ssh = msgspec.structs.replace(ssh, user=own.ssh_user or ssh.user, port=own.ssh_port or ssh.port)
            host = self._ssh(member.name, own.ssh or member.address, ssh, sudo=sudo, prefix=prefix)
        values = {
            "app": name,
            "node": member.name,
            "address": member.address,
            "port": str(member.port),
        }
        values["service"] = fill_plain(getattr(app.service, "name", name), values)
        version = app.version or default_version(app.install)
        if version is None:
            raise ConfigError(
                self._config.file,
                f"apps.{name}.version",
                "missing: it says how the installed version is read,"
                f" which install kind {app.install.__struct_config__.tag!r} does not tell",
            )
        console_port = app.access.port_check_from == "console"
        return Node(
            name=member.name,
            addresses=await _addresses(member.address),
            port=member.port,
            servers=member.servers,
            host=host,
            service=make_service(app.service, host, values, recreated=creates_containers(app.install)),
            port_probe=(
                ConsolePort(member.address, member.port) if console_port else NodePort(host, member.port)
            ),
            installer=make_installer(
                app.install,
                version,
                host=host,
                console=self._tools,
                values=values,
                timeout=app.rollout.install_timeout,
            ),
            health=checks.of(host, values),
            health_successes=app.health_check.successes,
            health_interval=app.health_check.interval,
            registration=self._registration(app, member.name, host, values),
            # A container's connections end in its own network, and its host's kernel shows none of them.
            connections=(
                None
                if console_port or isinstance(app.service, ContainerSettings)
                else NodeConnections(host, member.port)
            ),
            version_regex=app.health_check.version_regex,
        )

    def _registration(
        self, app: ApplicationSettings, node: str, host: Host, values: Mapping[str, str]
    ) -> Registration | None:
        """Where a node stands in Consul, if anything is done about that."""
        service = app.inventory
        if self._consul is None or not isinstance(service, ConsulService):
            return None
        if service.require_consul_checks == "none" and not service.maintenance:
            return None
        from backends.consul.maintenance import Registration as InConsul

        return InConsul(self._consul, service, node, host, values)

    def _ssh(
        self, name: str, address: str, settings: SshSettings, *, sudo: bool = False, prefix: str = ""
    ) -> SshHost:
        host = SshHost(
            name,
            address,
            settings,
            sudo=sudo,
            prefix=prefix,
            recorder=self._recorder,
            connecting=self._connecting,
        )
        self._open.push_async_callback(host.close)
        return host


async def _addresses(address: str) -> frozenset[str]:
    """The address and, for a host name, what it resolves to: HAProxy shows addresses, people write names."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await loop.getaddrinfo(address, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):  # the last for what can be no host's name
            return frozenset((address,))
        return frozenset((address, *(str(each[4][0]) for each in found)))
    return frozenset((address,))
