"""Units of systemd: `systemctl --no-block` starts and stops them, `systemctl show` reads their state."""

import shlex
from collections.abc import Mapping

from backends.command import Command
from backends.errors import BackendError, Refused, Unreachable, UnreadableReply
from backends.hosts.execution import assume, command_obstacles, execute, format_output, is_rehearsal, query
from backends.node_state import LogSource, ServiceState
from backends.protocols import Host
from backends.services.common import service_name
from backends.services.log import LoggedService, LoggedSettings, words_before
from backends.services.systemd_journal import UnitJournal, is_run, unit_id
from backends.services.systemd_unit import (
    ACTIVITIES,
    PROPERTIES,
    RELATED_PROPERTIES,
    Properties,
    is_unit_name,
    lingering_caveats,
    parse_show,
    parse_units,
    related_units,
    relation_caveats,
    rights_caveat,
    rights_command,
    socket_obstacles,
    state_of,
    unit_caveats,
    unit_obstacles,
    upheld_obstacles,
)
from backends.templates import NoText, ServiceName, check_words
from backends.text import last_lines


class SystemdSettings(LoggedSettings, kw_only=True, frozen=True, tag="systemd"):
    """Settings of a unit of systemd.

    Attributes:
        name: the unit, such as ``shop.service``; `{node}` and the like are filled in.
        user: whether the unit belongs to the login user's own systemd (``systemctl --user``).
        command: how systemctl is called on the node, such as ``sudo -n systemctl``.
        timeout: seconds for one call of ``systemctl``, which never waits for the service.
    """

    name: ServiceName
    user: bool = False
    command: NoText = "systemctl"
    timeout: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words("command", self.command)
        if not self.command.strip():
            raise ValueError("command: found an empty text, expected how systemctl is called")


class SystemdService(LoggedService[SystemdSettings]):
    """One unit. A stop with an exit status that systemd does not expect also ends in `failed`."""

    def __init__(self, host: Host, settings: SystemdSettings, values: Mapping[str, str]) -> None:
        super().__init__(host, settings, values)
        self._name = service_name(settings.name, values)
        self._port = values.get("port", "")

    def stop_command(self) -> Command:
        # Without --no-block a connection that is lost would leave the outcome of the call unknown.
        return self._systemctl_command("--no-block", "stop", "--", self._name)

    def start_command(self) -> Command:
        return self._systemctl_command("--no-block", "start", "--", self._name)

    def state_command(self) -> Command:
        return self._systemctl_command("show", f"--property={','.join(PROPERTIES)}", "--", self._name)

    def reset_command(self) -> Command:
        return self._systemctl_command("reset-failed", "--", self._name)

    def reload_command(self) -> Command:
        return self._systemctl_command("daemon-reload")

    async def stop(self) -> None:
        await self._execute(self.stop_command(), "stop")

    async def start(self) -> None:
        """Request the start, after a reload of a changed unit file and a reset of failed starts.

        From the old unit file systemd might start the old version. Failed starts count towards
        StartLimitBurst, after which systemd would refuse to start the good version.
        """
        properties = await self._read_properties_if_possible()
        if assume(properties.get("NeedDaemonReload") == "yes"):
            what = f"start {self._name}, whose unit file has changed: systemctl daemon-reload"
            await execute(self._host, self.reload_command(), what, timeout=self._settings.timeout)
        if assume(_has_died(properties)):
            await self._reset()
        await self._execute(self.start_command(), "start")

    async def state(self) -> ServiceState:
        """Read the state of the service.

        Raises:
            Refused: there is no such unit.
            UnreadableReply: systemd did not answer, or answered with an unknown state.
        """
        properties = await self._read_properties()
        if properties.get("LoadState") == "not-found" and properties["ActiveState"] == "inactive":
            raise Refused(self._host.name, f"systemd has no unit {self._name}")
        if properties["ActiveState"] not in ACTIVITIES:
            raise UnreadableReply(self._host.name, f"{self._name} is {properties['ActiveState']!r}")
        return state_of(properties)

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        properties = await self._read_properties()
        unmask = self._host.render(self._systemctl_command("unmask", "--", self._name))
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        refused = await command_obstacles(self._host, commands, track=False)
        found = unit_obstacles(self._name, properties, unmask)
        related, _ = await self._read_related(properties)
        sockets = socket_obstacles(self._name, self._port, related)
        return (*found, *sockets, *upheld_obstacles(self._name, properties, related), *refused)

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        properties = await self._read_properties()
        related, unseen = await self._read_related(properties)
        logins = await lingering_caveats(self._host, self._settings.timeout) if self._settings.user else ()
        found = (
            *unit_caveats(properties),
            *relation_caveats(properties, related, self._port),
            *unseen,
            *logins,
        )
        return (*found, *await self._find_rights_caveats())

    async def _find_rights_caveats(self) -> tuple[str, ...]:
        """Return what polkit may refuse; where systemctl runs by sudo, `obstacles` has found that out."""
        if self._settings.user or not shlex.split(self._settings.command)[0].endswith("systemctl"):
            return ()
        caveat = rights_caveat(await query(self._host, rights_command(), timeout=self._settings.timeout))
        return (caveat,) if caveat else ()

    async def _own_last_lines(self) -> tuple[str, ...]:
        """Return what the last run wrote or, if that is nothing, the end of the journal of the unit.

        What the version before wrote would mislead. Without the right to read the journal there are no lines.
        """
        properties = await self._read_properties_if_possible()
        journal = self._journal(properties)
        runs = await self._find_last_runs(journal, properties)
        own = await query(self._host, journal.own_command(), timeout=self._settings.timeout)
        # When the run before began is not known.
        started_us = "" if len(runs) > 1 else properties.get("ExecMainStartTimestampMonotonic", "")
        lines = journal.parse_own(own.stdout, runs, int(started_us) if started_us.isdecimal() else 0)
        if own.ok and lines and not is_rehearsal():
            return lines
        whole = await query(self._host, journal.whole_command(), timeout=self._settings.timeout)
        return last_lines(whole.stdout) if whole.ok else ()

    async def _find_last_runs(self, journal: UnitJournal, properties: Mapping[str, str]) -> tuple[str, ...]:
        """Return the id of the last run and, if systemd itself has begun it, of the one before; at most two.

        The one before has ended, while the last one may not have come to its reason yet. There are none where
        systemd (before 232) has no ids, or has forgotten the unit since it stopped.
        """
        runs = [properties.get("InvocationID", "")]
        if assume(is_run(runs[0]) and _has_restarted(properties)):
            result = await query(self._host, journal.restart_command(), timeout=self._settings.timeout)
            runs.append(journal.parse_restart(result.stdout))
        return tuple(dict.fromkeys(filter(is_run, runs)))

    def _words_before_log(self) -> tuple[str, ...]:
        return words_before(self._settings.command, "systemctl")

    async def _own_log(self, lines: int, *, follow: bool) -> LogSource:
        """Return the journal, with what systemd itself says about the unit."""
        journal = self._journal(await self._read_properties_if_possible())
        return LogSource(
            f"journal of {journal.name}", journal.log_command(lines, follow=follow), ends=not follow
        )

    def _journal(self, properties: Mapping[str, str]) -> UnitJournal:
        name = properties.get("Id", "")
        name = name if is_unit_name(name) else unit_id(self._name)
        return UnitJournal(self._settings.command, name, self._settings.user)

    async def _read_properties_if_possible(self) -> Mapping[str, str]:
        try:
            return await self._read_properties()
        except UnreadableReply:
            return {}

    async def _reset(self) -> None:
        """Reset failed starts. It is an error only if the host was not reached: the start shows the rest."""
        try:
            await self._host.run(self.reset_command(), timeout=self._settings.timeout)
        except Unreachable:
            raise
        except BackendError:
            return

    async def _read_related(
        self, properties: Mapping[str, str]
    ) -> tuple[tuple[Properties, ...], tuple[str, ...]]:
        """Return units that start this one or stop with it, and why they cannot be read, as by sudo."""
        names = related_units(properties)
        if not names:
            return (), ()
        command = self._systemctl_command("show", f"--property={','.join(RELATED_PROPERTIES)}", "--", *names)
        result = await query(self._host, command, timeout=self._settings.timeout)
        if not result.ok:
            return (), (
                f"whether {', '.join(names)} start or stop it cannot be checked: {format_output(result)}",
            )
        return parse_units(result.stdout), ()

    async def _read_properties(self) -> dict[str, str]:
        result = await query(self._host, self.state_command(), timeout=self._settings.timeout)
        properties = parse_show(result.stdout)
        if not result.ok or "ActiveState" not in properties:
            raise UnreadableReply(self._host.name, f"systemctl show {self._name}: {format_output(result)}")
        return properties

    async def _execute(self, command: Command, action: str) -> None:
        what = f"{action} {self._name}"
        await execute(self._host, command, what, timeout=self._settings.timeout)

    def _systemctl_command(self, *arguments: str) -> Command:
        scope = ("--user",) if self._settings.user else ()
        return Command((*shlex.split(self._settings.command), *scope, *arguments))


def _has_died(properties: Mapping[str, str]) -> bool:
    return properties.get("ActiveState") == "failed" or _has_restarted(properties)


def _has_restarted(properties: Mapping[str, str]) -> bool:
    """Return whether systemd itself has started the unit again since it was started by request."""
    return properties.get("NRestarts", "0") not in ("", "0")
