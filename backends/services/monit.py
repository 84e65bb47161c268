"""Services of Monit: its command line requests a start or stop, and `monit status` reads the state.

The status is that of Monit alone. "Not monitored" also follows a stop that failed, with the
process running on, and "OK" comes long before the port is open. The process id is the last one
that Monit found: during "start pending" it is still the old one, and after a stop there is none.
"""

import asyncio
import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Literal

from backends.command import Command, CommandResult
from backends.errors import Busy, ConfigError, NotAsked, Refused, UnknownOutcome, UnreadableReply
from backends.hosts.execution import command_obstacles, format_output, process_obstacles, query, refused_error
from backends.node_state import LogSource, ServiceState
from backends.protocols import Host
from backends.services.common import service_name
from backends.services.log import LoggedService, LoggedSettings, file_log, pick_lines, words_before
from backends.services.monit_output import (
    MonitControl,
    MonitStatus,
    parse_control,
    parse_status,
    state_of,
)
from backends.templates import NoText, ServiceName, check_words
from backends.text import MAX_DETAIL_CHARS, last_lines, shorten

LOG_LINES = 500  # of all services, of which those about one service are taken

_NO_DAEMON = re.compile(r"daemon is not running", re.IGNORECASE)
_NO_SERVICE = re.compile(r"there is no service|service '.*' not found", re.IGNORECASE)
_BUSY = re.compile(r"other action already in progress", re.IGNORECASE)
_LOST = re.compile(r"error receiving data|cannot read|timed? ?out", re.IGNORECASE)

Action = Literal["stop", "start"]


class MonitSettings(LoggedSettings, kw_only=True, frozen=True, tag="monit"):
    """Settings of a service of Monit.

    Attributes:
        name: the service in Monit's control file; `{node}` and the like are filled in.
        command: how Monit is called, with options, such as ``monit -c /etc/monit/monitrc``.
        timeout: seconds for one call; a Monit that hangs takes five to report that.
    """

    name: ServiceName
    command: NoText = "monit"
    timeout: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words("command", self.command)


class MonitService(LoggedService[MonitSettings]):
    """One service of one Monit."""

    def __init__(self, host: Host, settings: MonitSettings, values: Mapping[str, str]) -> None:
        super().__init__(host, settings, values)
        self._name = service_name(settings.name, values, blanks=True)
        if self._name.casefold() == "all":
            raise ConfigError("", "service.name", "found 'all', which Monit takes for all of its services")

    def stop_command(self) -> Command:
        return self._monit_command("stop")

    def start_command(self) -> Command:
        return self._monit_command("start")

    def state_command(self) -> Command:
        return self._monit_command("status")

    def control_command(self) -> Command:
        """Return the command that shows the control file, which the status does not contain."""
        program, options = self._split_command()
        return Command((*program, *options, "-v", "status", self._name))

    async def stop(self) -> None:
        await self._execute("stop", self.stop_command())

    async def start(self) -> None:
        await self._execute("start", self.start_command())

    async def state(self) -> ServiceState:
        """Read the state of the service.

        Raises:
            Refused: Monit has no such service.
            UnreadableReply: its daemon does not run, does not answer, or reports an unknown state.
        """
        monitor = self._host.render(self._monit_command("monitor"))
        return state_of(self._host.name, await self._read_status(), monitor)

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        found = await command_obstacles(self._host, commands, track=False)
        control = await self._read_control()
        if control is None:
            return found
        programs = {"stop": control.stops, "start": control.starts}
        return (
            *(
                f"Monit has no {what} program for {self._name}, and would {what} nothing"
                for what, is_there in programs.items()
                if not is_there
            ),
            *found,
        )

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        status, control = await asyncio.gather(self._read_status(), self._read_control())
        found = []
        if status.on_reboot == "nostart":
            found.append("after a reboot Monit would not start its service (onreboot nostart)")
        if status.mode == "passive":
            found.append("Monit would not start its service again when it has died (mode passive)")
        if control is not None and control.every:
            often = shorten(f"{control.every}; a cycle is {control.cycle}", MAX_DETAIL_CHARS)
            found.append(
                f"Monit does not check its service in every cycle ({often}), and notices a start only at its"
                " next check: start_timeout has to be longer than that"
            )
        if control is not None and control.dependents:
            others = ", ".join(control.dependents)
            found.append(f"with its service Monit stops {others} too, and does not start that again")
        # No obstacle: Monit notices only once in a cycle that a process has ended.
        return (*found, *await process_obstacles(self._host, "Monit", status.pid, self.state))

    async def _own_last_lines(self) -> tuple[str, ...]:
        """Return the last lines about the service in Monit's own log, if its path is known."""
        source = await self._find_log(LOG_LINES, follow=False)
        result = await self._query_if_allowed(source.command) if source is not None else None
        if source is None or result is None or not result.ok:
            return ()
        return last_lines("\n".join(pick_lines(result.stdout.splitlines(), source.about)))

    async def _own_log(self, lines: int, *, follow: bool) -> LogSource:
        """Return what Monit writes about the service in its own log."""
        source = await self._find_log(max(lines, LOG_LINES), follow=follow)
        if source is None:
            raise NotAsked(
                self._host.name,
                "the log of its service is not known, and Monit shows no log of its own: set `log`, its path,"
                " or `log_command` in [apps.NAME.service]",
            )
        return source

    async def _find_log(self, lines: int, *, follow: bool) -> LogSource | None:
        """Return Monit's own log; None if Monit does not show its path. It has lines of all services."""
        control = await self._read_control()
        if control is None or not control.log:
            return None
        before = self._words_before_log()
        return file_log(control.log, lines, follow=follow, before=before, about=f"'{self._name}'")

    def _words_before_log(self) -> tuple[str, ...]:
        return words_before(self._settings.command, "monit")

    async def _read_control(self) -> MonitControl | None:
        """Read the control file; None if Monit does not show it, or sudo forbids the query."""
        result = await self._query_if_allowed(self.control_command())
        return parse_control(result.stdout, self._name) if result is not None and result.ok else None

    async def _query_if_allowed(self, command: Command) -> CommandResult | None:
        """Run an optional query, unless sudo would refuse it."""
        if await self._host.sudo_refusal(command):
            return None
        return await query(self._host, command, timeout=self._settings.timeout)

    async def _execute(self, action: Action, command: Command) -> None:
        """Request an action after a query: without a daemon `monit stop` would run the script itself.

        Raises:
            Busy: Monit has another action of the service to complete first, for as long as its own
                time-outs allow.
        """
        pending = await self._read_pending(action)
        if pending == action:
            return
        what = f"monit {action} {self._name}"
        if pending:
            raise Busy(self._host.name, f"{what}: Monit is busy with its service: {pending} pending")
        result = await self._host.run(command, timeout=self._settings.timeout)
        if result.ok:
            return
        if _BUSY.search(format_output(result)):
            raise Busy(self._host.name, f"{what}: {format_output(result)}")
        raise self._build_failure(action, result)

    async def _read_pending(self, action: Action) -> str:
        try:
            return (await self._read_status()).pending
        except UnreadableReply as error:
            problem = f"monit was not asked to {action} {self._name}: {error.problem}"
            raise NotAsked(error.target, problem) from error

    def _build_failure(self, action: Action, result: CommandResult) -> Exception:
        if _LOST.search(format_output(result)):
            # A request that reached a hung Monit is carried out when it goes on.
            problem = f"monit {action} {self._name}: {format_output(result)}"
            return UnknownOutcome(self._host.name, problem)
        return refused_error(self._host.name, f"monit {action} {self._name}", result)

    async def _read_status(self) -> MonitStatus:
        result = await query(self._host, self.state_command(), timeout=self._settings.timeout)
        output = format_output(result)
        if _NO_DAEMON.search(output):
            raise UnreadableReply(self._host.name, f"the monit daemon is not running ({output})")
        if _NO_SERVICE.search(output):
            raise Refused(self._host.name, f"monit has no service {self._name} ({output})")
        status = parse_status(result.stdout, self._name) if result.ok else None
        if status is None:
            raise UnreadableReply(self._host.name, f"monit status {self._name}: {output}")
        return status

    def _monit_command(self, verb: str) -> Command:
        # No -B: old versions do not know it, and without a terminal there is no color anyway.
        program, options = self._split_command()
        return Command((*program, *options, verb, self._name))

    def _split_command(self) -> tuple[list[str], list[str]]:
        """Return the words up to Monit itself, and its options; another program name ends the words."""
        words = shlex.split(self._settings.command)
        names = [posixpath.basename(word) for word in words]
        end = names.index("monit") + 1 if "monit" in names else len(words)
        return words[:end], words[end:]
