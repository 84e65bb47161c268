"""The factory of adapters. It opens no connections, and imports slow modules only when they are needed."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import msgspec

from backends.command import CommandListener
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings, SshAddress
from backends.haproxy.runtime import Runtime
from backends.hosts.local import LocalHost
from backends.hosts.ports import ConsolePort, NodeConnections, NodePort
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.kinds import (
    HealthCheckFactory,
    creates_containers,
    default_version,
    make_installer,
    make_service,
)
from backends.local_machine import LOGIN, base_environment, operator_environment
from backends.protocols import Host, LoadBalancer
from backends.services.container import ContainerSettings
from backends.templates import fill_plain
from orchestrator.inventory.resolver import NodeSpec
from orchestrator.inventory.source import NodeSource
from orchestrator.node import Node
from orchestrator.settings import ApplicationSettings

RESOLVE_TIMEOUT_S = 5.0  # for the name of a node; without an answer only the name itself is compared


class AdapterFactory:
    """Builds the adapters of load balancers and nodes; `close` closes all that they have opened.

    Args:
        ssh: how machines are reached.
        listener: receives a report of every command.
        file: the configuration, for errors.
    """

    def __init__(self, ssh: SshSettings, listener: CommandListener, file: str = "") -> None:
        self._ssh_settings = ssh
        self._file = file
        self._listener = listener
        self._connecting = asyncio.Semaphore(ssh.max_concurrent_logins)
        self._open = AsyncExitStack()
        self._console = LocalHost("here", listener=listener)
        self._tools = LocalHost("here", listener=listener, environment=operator_environment)

    async def close(self) -> None:
        await self._open.aclose()

    def balancers(self, settings: Mapping[str, HaproxySettings]) -> list[LoadBalancer]:
        """Return the adapters of load balancers."""
        return [self.balancer(name, own) for name, own in settings.items()]

    def balancer(self, name: str, settings: HaproxySettings) -> LoadBalancer:
        """Return the adapter of one load balancer."""
        if settings.stats_url:
            from backends.haproxy.stats_page import StatsPage

            return StatsPage(name, settings)
        address = settings.address()
        if not isinstance(address, SshAddress):
            return Runtime(name, settings, listener=self._listener)
        ssh = self._ssh_settings
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
            listener=self._listener,
        )

    async def nodes(
        self, name: str, app: ApplicationSettings, source: NodeSource, specs: Sequence[NodeSpec]
    ) -> list[Node]:
        """Return the nodes of an application with their adapters.

        Args:
            name: of the application.
            app: its settings.
            source: of its nodes.
            specs: which nodes.

        Raises:
            ConfigError: the settings do not fit together.
        """
        checks = HealthCheckFactory(app.health_check, f"apps.{name}.health", self._console)
        self._open.push_async_callback(checks.close)
        return list(await asyncio.gather(*(self._node(name, app, source, spec, checks) for spec in specs)))

    async def _node(
        self,
        name: str,
        app: ApplicationSettings,
        source: NodeSource,
        spec: NodeSpec,
        checks: HealthCheckFactory,
    ) -> Node:
        own = spec.settings
        sudo = app.access.sudo if own.sudo is None else own.sudo
        prefix = app.access.prefix if own.prefix is None else own.prefix
        host: Host
        if (own.transport or app.access.transport) == "local":
            host = LocalHost(
                spec.name,
                sudo=sudo,
                prefix=prefix,
                listener=self._listener,
                environment=partial(base_environment, app.access.env, of=LOGIN),
            )
        else:
            ssh = self._ssh_settings
            ssh = msgspec.structs.replace(ssh, user=own.ssh_user or ssh.user, port=own.ssh_port or ssh.port)
            host = self._ssh(spec.name, own.ssh or spec.address, ssh, sudo=sudo, prefix=prefix)
        values = {
            "app": name,
            "node": spec.name,
            "address": spec.address,
            "port": str(spec.port),
        }
        values["service"] = fill_plain(getattr(app.service, "name", name), values)
        version = app.version or default_version(app.install)
        if version is None:
            raise ConfigError(
                self._file,
                f"apps.{name}.version",
                "missing: it says how the installed version is read,"
                f" which install kind {app.install.__struct_config__.tag!r} does not tell",
            )
        console_port = app.access.port_check_from == "console"
        return Node(
            name=spec.name,
            addresses=await _addresses(spec.address),
            port=spec.port,
            servers=spec.servers,
            host=host,
            service=make_service(app.service, host, values, recreated=creates_containers(app.install)),
            port_probe=(ConsolePort(spec.address, spec.port) if console_port else NodePort(host, spec.port)),
            installer=make_installer(
                app.install,
                version,
                host=host,
                console=self._tools,
                values=values,
                timeout=app.rollout.install_timeout,
            ),
            health=checks.create(host, values),
            health_successes=app.health_check.successes,
            health_interval=app.health_check.interval,
            registration=source.registration(spec.name, host, values),
            # A container's connections end in its own network, and its host's kernel shows none of them.
            connections=(
                None
                if console_port or isinstance(app.service, ContainerSettings)
                else NodeConnections(host, spec.port)
            ),
            version_regex=app.health_check.version_regex,
            values=values,
        )

    def _ssh(
        self, name: str, address: str, settings: SshSettings, *, sudo: bool = False, prefix: str = ""
    ) -> SshHost:
        host = SshHost(
            name,
            address,
            settings,
            sudo=sudo,
            prefix=prefix,
            listener=self._listener,
            connecting=self._connecting,
        )
        self._open.push_async_callback(host.close)
        return host


async def _addresses(address: str) -> frozenset[str]:
    """Return the address and, for a host name, what it resolves to, since HAProxy shows addresses."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = await loop.getaddrinfo(address, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):  # the last for what can be no host's name
            return frozenset((address,))
        return frozenset((address, *(str(place[4][0]) for place in found)))
    return frozenset((address,))
