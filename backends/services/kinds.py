"""All service managers, chosen by `kind` in the configuration; see `backends.kinds`."""

from collections.abc import Callable, Mapping
from typing import Any

from backends.protocols import Host, ServiceManager
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
