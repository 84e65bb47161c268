"""Services controlled by the operator's own commands: three templates, and LSB exit statuses."""

import asyncio

from backends.command import Command, CommandResult
from backends.errors import NotAsked, UnreadableReply
from backends.hosts.execution import command_obstacles, execute, format_output, query
from backends.node_state import Activity, LogSource, ServiceState
from backends.services.common import parse_pid
from backends.services.log import LoggedService, LoggedSettings
from backends.templates import NodeShell, NodeText, fill, fill_plain

# LSB: 0 running, 1 dead with a pid file left, 3 not running. 2 is also a shell's syntax error.
_ACTIVITIES = {0: Activity.RUNNING, 1: Activity.STOPPED, 3: Activity.STOPPED}

_SUDO_EXIT_STATUS = 1  # also the exit status of a sudo that refuses
NOT_KNOWN_AFTER_REBOOT = (
    "its service is started and stopped by commands: it is unknown whether something else starts it too, and"
    " whether it comes back after a reboot"
)


class CommandSettings(LoggedSettings, kw_only=True, frozen=True, tag="command"):
    """Settings of a service with commands of its own; all are templates with `{node}`, `{port}` and so on.

    Attributes:
        start: shell command that starts the service and returns. What it leaves running should not
            hold its output (``>/dev/null 2>&1 &``): Rolldeck waits a little for an open one.
        stop: shell command that asks it to stop; it may return before it has.
        status: shell command; exit status 0 means running, 1 and 3 mean stopped, any other is an error.
        pid_file: path of a file with the id of the main process; empty without one.
        timeout: seconds for one command to end.
    """

    start: NodeShell
    stop: NodeShell
    status: NodeShell
    pid_file: NodeText = ""
    timeout: float = 60.0


class CommandService(LoggedService[CommandSettings]):
    """A service that an operator's own commands control."""

    def stop_command(self) -> Command:
        return Command.shell(fill(self._settings.stop, self._values))

    def start_command(self) -> Command:
        return Command.shell(fill(self._settings.start, self._values))

    def state_command(self) -> Command:
        return Command.shell(fill(self._settings.status, self._values))

    def pid_command(self) -> Command:
        return Command(("cat", "--", fill_plain(self._settings.pid_file, self._values)))

    async def stop(self) -> None:
        await self._execute(self.stop_command(), "the stop command")

    async def start(self) -> None:
        await self._execute(self.start_command(), "the start command")

    async def state(self) -> ServiceState:
        """Read the state; the process id only while the service runs, as pid files are left behind.

        Raises:
            UnreadableReply: the status command ended with a status other than 0, 1 and 3, or sudo refused it.
        """
        result, pid = await asyncio.gather(self._query(self.state_command()), self._read_pid())
        activity = _ACTIVITIES.get(result.exit_status)
        detail = f"status command: exit status {result.exit_status}: {format_output(result)}"
        if activity is None:
            raise UnreadableReply(self._host.name, detail)
        if result.exit_status == _SUDO_EXIT_STATUS and (
            why := await self._host.sudo_refusal(self.state_command())
        ):
            raise UnreadableReply(self._host.name, f"sudo would not run the status command: {why}")
        if activity is not Activity.RUNNING:
            return ServiceState(activity, None, detail)
        if self._settings.pid_file:
            detail = f"{detail}, pid {pid}" if pid else f"{detail}, no pid in the pid file"
        return ServiceState(activity, pid, detail)

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`. Only the first program of each command can be checked."""
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        return await command_obstacles(self._host, commands, track=True, programs=True)

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        return (NOT_KNOWN_AFTER_REBOOT,)

    async def _own_last_lines(self) -> tuple[str, ...]:
        """Return none: only the commands know where their output goes."""
        return ()

    async def _own_log(self, lines: int, *, follow: bool) -> LogSource:
        raise NotAsked(
            self._host.name,
            "the log of a service with commands of its own is not known: set `log`, its path, or"
            " `log_command` in [apps.NAME.service]",
        )

    async def _read_pid(self) -> int | None:
        if not self._settings.pid_file:
            return None
        return parse_pid((await self._query(self.pid_command())).stdout)

    async def _execute(self, command: Command, what: str) -> None:
        await execute(self._host, command, what, timeout=self._settings.timeout, track=True)

    async def _query(self, command: Command) -> CommandResult:
        return await query(self._host, command, timeout=self._settings.timeout)
