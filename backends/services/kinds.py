"""All service managers, chosen by `kind` in the configuration."""

from collections.abc import Mapping

from backends.protocols import Host, ServiceManager
from backends.services.command import CommandService, CommandSettings
from backends.services.container import ContainerService, ContainerSettings
from backends.services.monit import MonitService, MonitSettings
from backends.services.supervisor import SupervisorService, SupervisorSettings
from backends.services.systemd import SystemdService, SystemdSettings

ServiceSettings = MonitSettings | SystemdSettings | SupervisorSettings | ContainerSettings | CommandSettings


def make_service(
    settings: ServiceSettings, host: Host, values: Mapping[str, str], *, recreated: bool | None = None
) -> ServiceManager:
    """The service of one node.

    Args:
        settings: of the configuration.
        host: where it runs.
        values: what templates may name.
        recreated: whether an install creates its container anew; None: that is not known.
    """
    match settings:
        case MonitSettings():
            return MonitService(host, settings, values)
        case SystemdSettings():
            return SystemdService(host, settings, values)
        case SupervisorSettings():
            return SupervisorService(host, settings, values)
        case ContainerSettings():
            return ContainerService(host, settings, values, recreated=recreated)
        case CommandSettings():
            return CommandService(host, settings, values)
