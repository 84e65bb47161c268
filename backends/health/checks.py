"""Health checks by an open port or a command, and code that all health checks share."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backends.command import Command
from backends.errors import BackendError, ConfigError
from backends.hosts.execution import format_output, query
from backends.hosts.ports import ConsolePort, NodePort
from backends.node_state import HealthResult
from backends.protocols import Host, PortProbe
from backends.templates import NodeShell, TaggedSettings, fill
from backends.untrusted import check_pattern

MAX_DETAIL_CHARS = 200  # of an application's own words
NODE_MARGIN_S = 5.0  # for the way to a node and back, beyond the time-out of the check itself


class HealthKind(TaggedSettings, kw_only=True, frozen=True):
    """Settings of every health check.

    Attributes:
        timeout: seconds for one check, from the first packet to the last.
        successes: number of consecutive checks that have to succeed.
        interval: seconds from one check to the next.
        version_regex: regular expression with one group that extracts the application's own version from
            that of a package: of 1.5.0-1 the application may report 1.5.0.
    """

    timeout: float = 5.0
    successes: int = 3
    interval: float = 0.5
    version_regex: str = ""

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError(f"timeout: found {self.timeout:g}, expected more than 0 seconds")
        if self.interval < 0:
            raise ValueError(f"interval: found {self.interval:g}, expected 0 seconds or more")
        if self.successes < 1:
            raise ValueError(f"successes: found {self.successes}, expected at least 1")
        check_pattern(self.version_regex)

    @property
    def reports_version(self) -> bool:
        """Whether a check from this machine reports the version that runs."""
        return False


def healthy(detail: str, version: str | None = None) -> HealthResult:
    """Return a good result; what an application says is made printable."""
    return HealthResult(True, printable(detail), None if version is None else printable(version))


def unhealthy(detail: str) -> HealthResult:
    """Return a bad result; what an application says is made printable."""
    return HealthResult(False, printable(detail))


def printable(text: str) -> str:
    """Return one line without control characters, which could manipulate a terminal."""
    # Category C: control, format (writing direction), surrogates, private use, unassigned.
    visible = (
        " " if unicodedata.category(char)[0] in "CZ" else char for char in text[: 4 * MAX_DETAIL_CHARS]
    )
    line = " ".join("".join(visible).split())
    return line if len(line) <= MAX_DETAIL_CHARS else f"{line[: MAX_DETAIL_CHARS - 3]}..."


class TcpHealth(HealthKind, kw_only=True, frozen=True, tag="tcp"):
    """The port is open: the weakest check, as many applications listen before they can serve.

    Attributes:
        port: another port than the node's own; 0 for that one.
        check_from: where the check runs: `node` reads the kernel's table there, `console` connects from here.
    """

    port: int = 0
    check_from: Literal["console", "node"] = "node"

    def number(self, values: Mapping[str, str]) -> int:
        """Return the port. Raises ConfigError when neither the check nor the node has one."""
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

    async def read_version(self) -> None:
        """See `HealthCheck`: a port has none."""


_TIMEOUT_EXIT_STATUS = 124  # of timeout(1)


class CommandHealth(HealthKind, kw_only=True, frozen=True, tag="command"):
    """A shell command that exits with 0 when the application is healthy.

    Attributes:
        run: template of the command; the last thing it prints is shown. timeout(1) ends it.
        check_from: where it runs.
    """

    run: NodeShell
    check_from: Literal["console", "node"] = "node"

    def command(self, values: Mapping[str, str]) -> Command:
        # Ended on the node itself: otherwise each check would leave another hung command there.
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
            result = await query(self.host, command, timeout=timeout + NODE_MARGIN_S)
        except BackendError as error:
            return unhealthy(error.problem)
        if result.exit_status == _TIMEOUT_EXIT_STATUS:
            return unhealthy(f"timed out after {timeout:g} s")
        if result.ok:
            return healthy(result.last_line if result.stdout or result.stderr else "exit status 0")
        return unhealthy(f"exit status {result.exit_status}: {format_output(result)}")

    async def read_version(self) -> None:
        """See `HealthCheck`: an exit status has none."""
