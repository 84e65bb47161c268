"""All ways to install, chosen by `kind` in the configuration; see `backends.kinds`."""

from collections.abc import Mapping

from backends.installers.ansible import AnsibleInstall
from backends.installers.command import CommandInstall, NoInstall
from backends.installers.common import SequenceInstaller
from backends.installers.compose import ComposeInstall, ComposeInstaller
from backends.installers.container import ContainerInstall, ContainerInstaller
from backends.installers.packages import AptInstall, DnfInstall
from backends.installers.symlink import SymlinkInstall
from backends.installers.versions import (
    ContainerVersion,
    DpkgVersion,
    RpmVersion,
    SymlinkVersion,
    VersionProbe,
    VersionSettings,
)
from backends.protocols import Host, Installer

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
