"""All service managers, installers, health checks and inventories in files, chosen by `kind`.

A kind is added like this: write one module that holds its settings, a subclass of `TaggedSettings` whose tag
is the kind, and its adapter. Then name both here: the settings in the union into which the configuration is
decoded, and the adapter in the table or function after it. No other module has to know the new kind.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backends.file_trust import Writers
from backends.health.checks import CommandCheck, CommandHealth, TcpCheck, TcpHealth
from backends.health.http import HttpCheck, HttpHealth
from backends.health.http_client import NodeFetch, WebClient
from backends.installers.ansible import AnsibleInstall
from backends.installers.command import CommandInstall, NoInstall, SymlinkInstall
from backends.installers.common import SequenceInstaller
from backends.installers.compose import ComposeInstall, ComposeInstaller
from backends.installers.container import ContainerInstall, ContainerInstaller
from backends.installers.packages import AptInstall, DnfInstall
from backends.installers.versions import (
    ContainerVersion,
    DpkgVersion,
    RpmVersion,
    SymlinkVersion,
    VersionProbe,
    VersionSettings,
)
from backends.inventories.ansible.reader import AnsibleInventory, read_ansible
from backends.inventories.files import InventoryFile, TomlInventory, read_toml
from backends.protocols import HealthCheck, Host, Installer, ServiceManager
from backends.services.command import CommandService, CommandSettings
from backends.services.container import ContainerService, ContainerSettings
from backends.services.monit import MonitService, MonitSettings
from backends.services.supervisor import SupervisorService, SupervisorSettings
from backends.services.systemd import SystemdService, SystemdSettings

ServiceSettings = MonitSettings | SystemdSettings | SupervisorSettings | ContainerSettings | CommandSettings


Make = Callable[[Host, Any, Mapping[str, str]], ServiceManager]
"""Makes the service of one node, from its host, its settings and the values of placeholders."""

_KINDS: dict[type, Make] = {
    MonitSettings: MonitService,
    SystemdSettings: SystemdService,
    SupervisorSettings: SupervisorService,
    ContainerSettings: ContainerService,
    CommandSettings: CommandService,
}


def register_service(settings: type, make: Make) -> None:
    """Add a service manager that is not Rolldeck's own, for applications with settings of this type.

    Args:
        settings: the type, a frozen struct; such an application can be described in Python only.
        make: makes the service of one node.
    """
    _KINDS[settings] = make


def make_service(
    settings: ServiceSettings, host: Host, values: Mapping[str, str], *, recreated: bool | None = None
) -> ServiceManager:
    """Make the service of one node.

    Args:
        settings: the settings of the application.
        host: the host on which the service runs.
        values: the values of placeholders in templates.
        recreated: whether an install creates its container anew; None if that is unknown.
    """
    if isinstance(settings, ContainerSettings):
        return ContainerService(host, settings, values, recreated=recreated)
    return _KINDS[type(settings)](host, settings, values)


InstallSettings = (
    CommandInstall
    | AptInstall
    | DnfInstall
    | SymlinkInstall
    | ContainerInstall
    | ComposeInstall
    | AnsibleInstall
    | NoInstall
)


def default_version(settings: InstallSettings) -> VersionSettings | None:
    """Return how to read the installed version by default; None if the configuration must say it."""
    match settings:
        case AptInstall(package=package):
            return DpkgVersion(package=package)
        case DnfInstall(package=package, release=release):
            return RpmVersion(package=package, release=release)
        case SymlinkInstall(link=link):
            return SymlinkVersion(path=link)
        case (
            ContainerInstall(name=name, engine=engine, engine_options=options)
            | ComposeInstall(name=name, engine=engine, engine_options=options)
        ):
            return ContainerVersion(name=name, engine=engine, engine_options=options)
    return None


def creates_containers(settings: InstallSettings) -> bool | None:
    """Return whether an install creates the service's container anew; None if it is unknown."""
    match settings:
        case ContainerInstall() | ComposeInstall():
            return True
        case CommandInstall() | AnsibleInstall() | NoInstall():
            return None
    return False


def make_installer(
    settings: InstallSettings,
    version: VersionSettings,
    *,
    host: Host,
    console: Host,
    values: Mapping[str, str],
    timeout: float = 600.0,
) -> Installer:
    """Make the installer of one node.

    Args:
        settings: how to install.
        version: how the installed version is read; see `default_version`.
        host: the node.
        console: the machine of the console, on which Ansible runs.
        values: the values of placeholders: app, node, address, port and service, all inert.
        timeout: seconds for each command.
    """
    probe = VersionProbe(host, version, values)
    if isinstance(settings, ContainerInstall):
        return ContainerInstaller(host=host, sequence=settings, probe=probe, values=values, timeout=timeout)
    if isinstance(settings, ComposeInstall):
        return ComposeInstaller(host=host, sequence=settings, probe=probe, values=values, timeout=timeout)
    where = console if isinstance(settings, AnsibleInstall) else host
    return SequenceInstaller(host=where, sequence=settings, probe=probe, values=values, timeout=timeout)


HealthSettings = TcpHealth | HttpHealth | CommandHealth


class HealthCheckFactory:
    """Makes the checks of one application's nodes, which share one HTTP client."""

    def __init__(self, settings: HealthSettings, what: str, console: Host) -> None:
        """Keep what all checks of an application share.

        Args:
            settings: the settings of the application.
            what: their path in the configuration, such as ``apps.shop.health``.
            console: the machine of the console.
        """
        self._settings = settings
        self._console = console
        self._web = WebClient(settings, what) if isinstance(settings, HttpHealth) else None

    def create(self, host: Host, values: Mapping[str, str]) -> HealthCheck:
        """Make the check of one node.

        Args:
            host: the node.
            values: the values of placeholders: app, node, address, port and service, all inert.

        Raises:
            ConfigError: there is no port to check.
        """
        settings = self._settings
        match settings:
            case TcpHealth():
                return TcpCheck(settings.probe(host, values), settings.number(values))
            case CommandHealth():
                where = self._console if settings.check_from == "console" else host
                return CommandCheck(where, settings, values)
            case HttpHealth():
                if self._web is None or settings.check_from == "node":
                    return HttpCheck(settings, values, NodeFetch(host, settings).fetch)
                return HttpCheck(settings, values, self._web.fetch)

    async def close(self) -> None:
        """Close the HTTP client, if one was opened."""
        if self._web is not None:
            await self._web.close()


FileInventory = TomlInventory | AnsibleInventory


async def read_nodes(
    settings: FileInventory, folder: Path, file: str, key: str, writers: Writers
) -> InventoryFile:
    """Read the nodes that an inventory's file names now, in its order.

    Args:
        settings: which file.
        folder: that of the configuration, in which relative paths begin.
        file: the configuration, for errors.
        key: the key of the inventory in it, such as ``apps.shop.inventory``, for errors.
        writers: those of the configuration, who may write a file that brings commands as it does.

    Raises:
        ConfigError: of the configuration when the file cannot be read, else of what is wrong in the file.
    """
    match settings:
        case TomlInventory():
            return await asyncio.to_thread(read_toml, settings, folder, file, key, writers)
        case AnsibleInventory():
            return await read_ansible(settings, folder, file, key, writers)
