"""Health by an open port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backends.errors import BackendError, ConfigError
from backends.health.common import HealthKind, healthy, unhealthy
from backends.hosts.ports import ConsolePort, NodePort
from backends.model import HealthResult
from backends.protocols import Host, PortProbe


class TcpHealth(HealthKind, kw_only=True, frozen=True, tag="tcp"):
    """The port is open: the weakest check, as many applications listen before they can serve.

    Attributes:
        port: another port than the node's own; 0 for that one.
        check_from: who looks: `node` reads the kernel's table there, `console` connects from here.
    """

    port: int = 0
    check_from: Literal["console", "node"] = "node"

    def number(self, values: Mapping[str, str]) -> int:
        """The port. Raises ConfigError when neither the check nor the node has one."""
        port = self.port or int(values.get("port") or 0)
        if not 0 < port < 65536:
            raise ConfigError("", "health.port", f"found {port}, expected 1 to 65535")
        return port

    def probe(self, host: Host, values: Mapping[str, str]) -> PortProbe:
        port = self.number(values)
        if self.check_from == "console":
            return ConsolePort(values["address"], port, self.timeout)
        return NodePort(host, port, self.timeout)


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A HealthCheck by a port."""

    probe: PortProbe
    port: int

    async def check(self) -> HealthResult:
        try:
            opened = await self.probe.is_open()
        except BackendError as error:
            return unhealthy(error.problem)
        return healthy(f"port {self.port} is open") if opened else unhealthy(f"port {self.port} is closed")
