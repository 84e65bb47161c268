"""Health by a command that exits with 0 when the application is healthy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backends.command import Command
from backends.errors import BackendError
from backends.health.common import NODE_MARGIN_S, HealthKind, healthy, unhealthy
from backends.hosts.execution import format_output, query
from backends.model import HealthResult
from backends.protocols import Host
from backends.templates import NodeShell, fill

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
            result = await query(self.host, command, timeout=timeout + NODE_MARGIN_S)
        except BackendError as error:
            return unhealthy(error.problem)
        if result.exit_status == _TIMEOUT_EXIT_STATUS:
            return unhealthy(f"timed out after {timeout:g} s")
        if result.ok:
            return healthy(result.last_line if result.stdout or result.stderr else "exit status 0")
        return unhealthy(f"exit status {result.exit_status}: {format_output(result)}")
