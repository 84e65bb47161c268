"""Health without HTTP: the port is open, or a command says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backends.command import Command
from backends.errors import BackendError, ConfigError
from backends.health.common import MARGIN, HealthKind, healthy, unhealthy
from backends.hosts.execution import format_output, query
from backends.hosts.ports import ConsolePort, NodePort
from backends.model import HealthResult
from backends.protocols import Host, PortProbe
from backends.templates import NodeShell, fill

_TIMED_OUT = 124  # of timeout(1)


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


class CommandHealth(HealthKind, kw_only=True, frozen=True, tag="command"):
    """A shell command that exits with 0 when the application is healthy.

    Attributes:
        run: template of the command; the last thing it prints is shown. timeout(1) ends it.
        check_from: where it runs.
    """

    run: NodeShell
    check_from: Literal["console", "node"] = "node"

    def command(self, values: Mapping[str, str]) -> Command:
        # Ended on the node itself: a hung one that is only left alone comes again with each look.
        limit = ("timeout", f"{self.timeout:g}")
        return Command((*limit, *Command.shell(fill(self.run, values)).argv))


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A HealthCheck by a command."""

    host: Host
    settings: CommandHealth
    values: Mapping[str, str]

    async def check(self) -> HealthResult:
        command, timeout = self.settings.command(self.values), self.settings.timeout
        try:
            result = await query(self.host, command, timeout=timeout + MARGIN)
        except BackendError as error:
            return unhealthy(error.problem)
        if result.exit_status == _TIMED_OUT:
            return unhealthy(f"timed out after {timeout:g} s")
        if result.ok:
            return healthy(result.last_line if result.stdout or result.stderr else "exit status 0")
        return unhealthy(f"exit status {result.exit_status}: {format_output(result)}")
