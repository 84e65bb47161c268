"""Programs of supervisord: `supervisorctl` starts and stops them, and its `status` reports their state.

A start ends when the program has run for `startsecs`, or has died; a stop ends when it has ended. If the
program is already in that state, both print an error and exit with 0. The exit statuses of `status` are
those of LSB, except 4, which means an unknown program or a supervisord that does not answer.
"""

import re
import shlex
from collections.abc import Mapping

from backends.command import Command, CommandResult
from backends.errors import ConfigError, Refused, UnreadableReply
from backends.hosts.execution import command_obstacles, execute, format_output, process_obstacles, query
from backends.node_state import Activity, LogSource, ServiceState
from backends.protocols import Host
from backends.services.common import parse_pid, service_name
from backends.services.log import LoggedService, LoggedSettings, words_before
from backends.templates import NoText, ServiceName, check_words
from backends.text import MAX_DETAIL_CHARS, MAX_LAST_LINES, last_lines, shorten

TAIL_BYTES = 4096  # of its output, for the last lines
MIN_ERROR_LINES = 3  # of the last lines, if there are so many: the end of a traceback
LINE_BYTES = 200  # of a line, about
MAX_TAIL_BYTES = 1024 * 1024  # of its output, for more lines

_ACTIVITIES = {
    "RUNNING": Activity.RUNNING,
    "STARTING": Activity.CHANGING,
    "BACKOFF": Activity.CHANGING,  # it died too early, and is started again in a moment
    "STOPPING": Activity.CHANGING,
    "STOPPED": Activity.STOPPED,
    "EXITED": Activity.FAILED,  # by itself; a stop leaves STOPPED behind
    "FATAL": Activity.FAILED,  # supervisord has given up on it
}
_NO_PROGRAM = re.compile(r"error \(no such (process|group)", re.IGNORECASE)
_PID = re.compile(r"\bpid ([0-9]+),")

AUTORESTART_UNKNOWN = (
    "its service is a program of supervisord, which does not tell whether it starts it again when it dies"
    " (autorestart), whether a stop ends what it has started, too (stopasgroup), and whether its"
    " configuration was changed, which is not used before `supervisorctl update`"
)
NOT_AT_BOOT = (
    "its program has autostart=false: it would not be started when supervisord is, as after a reboot"
)


class SupervisorSettings(LoggedSettings, kw_only=True, frozen=True, tag="supervisor"):
    """Settings of a program of supervisord.

    Attributes:
        name: the program, such as ``shop``, or ``group:shop``; `{node}` and the like are filled in.
        command: the call of supervisorctl with options, such as ``supervisorctl -c /etc/supervisord.conf``.
        stop_timeout: seconds for a stop; more than the program's `stopwaitsecs`.
        timeout: seconds for any other call; more than the program's `startsecs`.
    """

    name: ServiceName
    command: NoText = "supervisorctl"
    stop_timeout: float = 60.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words("command", self.command)
        if not self.command.strip():
            raise ValueError("command: found an empty text, expected how supervisorctl is called")


class SupervisorService(LoggedService[SupervisorSettings]):
    """One program of one supervisord."""

    def __init__(self, host: Host, settings: SupervisorSettings, values: Mapping[str, str]) -> None:
        super().__init__(host, settings, values)
        self._name = service_name(settings.name, values)
        if self._name.casefold() == "all" or self._name.endswith(":"):
            raise ConfigError(
                "", "service.name", f"found {self._name!r}, which supervisorctl takes for several programs"
            )

    def stop_command(self) -> Command:
        return self._supervisorctl_command("stop", self._name)

    def start_command(self) -> Command:
        return self._supervisorctl_command("start", self._name)

    def state_command(self) -> Command:
        return self._supervisorctl_command("status", self._name)

    async def stop(self) -> None:
        """Stop the program. supervisorctl returns when it has ended."""
        await self._execute("stop", self.stop_command(), self._settings.stop_timeout)

    async def start(self) -> None:
        await self._execute("start", self.start_command(), self._settings.timeout)

    async def state(self) -> ServiceState:
        """Read the state of the service.

        Raises:
            Refused: supervisord has no such program.
            UnreadableReply: supervisord does not run, does not answer, or reports an unknown state.
        """
        result = await query(self._host, self.state_command(), timeout=self._settings.timeout)
        return self._read_state(result)

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        found = await command_obstacles(self._host, commands, track=True)
        pid = (await self.state()).pid
        return (*found, *await process_obstacles(self._host, "supervisord", pid, self.state))

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        result = await query(self._host, self._supervisorctl_command("avail"), timeout=self._settings.timeout)
        started = autostart(result.stdout, self._name) if result.ok else None
        return (AUTORESTART_UNKNOWN, NOT_AT_BOOT) if started is False else (AUTORESTART_UNKNOWN,)

    async def _own_last_lines(self) -> tuple[str, ...]:
        """Return the ends of the program's standard output and, after it, of its standard error.

        Either may be from long ago, as supervisord keeps both and does not tell when they were written.
        """
        output, errors = [await self._read_end(channel) for channel in ("stdout", "stderr")]
        errors = errors[-max(MIN_ERROR_LINES, MAX_LAST_LINES - len(output)) :]
        return (*output[max(0, len(output) + len(errors) - MAX_LAST_LINES) :], *errors)

    async def _read_end(self, channel: str) -> tuple[str, ...]:
        command = self._supervisorctl_command("tail", f"-{TAIL_BYTES}", self._name, channel)
        result = await query(self._host, command, timeout=self._settings.timeout)
        return last_lines(result.stdout) if result.ok else ()

    def _words_before_log(self) -> tuple[str, ...]:
        return words_before(self._settings.command, "supervisorctl")

    async def _own_log(self, lines: int, *, follow: bool) -> LogSource:
        """Return both outputs of the program. supervisorctl counts bytes, and with -f prints one kilobyte."""
        how = "-f" if follow else f"-{min(lines * LINE_BYTES, MAX_TAIL_BYTES)}"
        parts = tuple(
            self._supervisorctl_command("tail", how, self._name, channel) for channel in ("stderr", "stdout")
        )
        script = (" & exec " if follow else "; ").join(shlex.join(part.argv) for part in parts)
        name = f"supervisorctl tail {self._name}"
        return LogSource(name, Command.shell(script), ends=not follow, parts=parts)

    async def _execute(self, action: str, command: Command, timeout: float) -> None:
        what = f"supervisorctl {action} {self._name}"
        await execute(self._host, command, what, timeout=timeout, track=True)

    def _read_state(self, result: CommandResult) -> ServiceState:
        if _NO_PROGRAM.search(format_output(result)):
            raise Refused(
                self._host.name, f"supervisord has no program {self._name} ({format_output(result)})"
            )
        state = parse_status(result.stdout, self._name)
        if state is None or result.exit_status not in (0, 3):
            raise UnreadableReply(
                self._host.name, f"supervisorctl status {self._name}: {format_output(result)}"
            )
        return state

    def _supervisorctl_command(self, *arguments: str) -> Command:
        return Command((*shlex.split(self._settings.command), *arguments))


def parse_status(text: str, name: str) -> ServiceState | None:
    """Read the line of one program in ``supervisorctl status``; None without a line of a known state.

    A line is the name, a state in capitals, and a description: ``shop  RUNNING  pid 812, uptime 0:01:02``.
    """
    for line in text.splitlines():
        program, _, rest = line.strip().partition(" ")
        state, _, description = rest.strip().partition(" ")
        if not is_named(program, name) or state not in _ACTIVITIES:
            continue
        detail = description.strip()
        pid = _PID.match(detail) if state == "RUNNING" else None
        return ServiceState(
            activity=_ACTIVITIES[state],
            pid=parse_pid(pid[1]) if pid else None,
            detail=shorten(f"{state}: {detail}" if detail else state, MAX_DETAIL_CHARS),
            retrying=state == "BACKOFF",
            stopping=state == "STOPPING",
        )
    return None


def is_named(program: str, name: str) -> bool:
    """Return whether the names match: supervisorctl omits a group that has the name of its program."""
    return name in (program, f"{program}:{program}")


def autostart(text: str, name: str) -> bool | None:
    """Return whether supervisord starts a program itself, by ``supervisorctl avail``; None if unknown."""
    for line in text.splitlines():
        program, *rest = line.split()
        if is_named(program, name) and (mode := {"auto", "manual"}.intersection(rest)):
            return mode == {"auto"}
    return None
