"""Units of a real systemd, as the backend sees them: their state, and the last lines of their journal."""

from backends.hosts.local import LocalHost
from backends.node_state import Activity, ServiceState
from backends.services.systemd import SystemdService, SystemdSettings
from tests.support.servers.systemd import Systemd
from tests.support.wait import until


def service(systemd: Systemd, name: str, port: int = 0) -> SystemdService:
    values = {"port": str(port)} if port else {}
    return SystemdService(LocalHost("web1", prefix=systemd.prefix), SystemdSettings(name=name), values)


async def wrote(unit: SystemdService, *texts: str, timeout_s: float = 60.0) -> bool:
    """Whether one of these is in the last lines, which reach systemd's journal some time after the state."""

    async def is_there() -> bool:
        lines = await unit.last_lines()
        return any(text in line for text in texts for line in lines)

    try:
        await until(is_there, timeout_s)
    except TimeoutError:
        return False
    return True


async def reached(unit: SystemdService, activity: Activity, detail: str = "") -> ServiceState:
    """Wait until the unit is so; returns it as it was then."""
    found: list[ServiceState] = []

    async def is_so() -> bool:
        found.append(await unit.state())
        return found[-1].activity is activity and detail in found[-1].detail

    await until(is_so)
    return found[-1]
