"""Code that installers share: a sequence of commands that is computed from settings and run in order."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backends.command import Command, CommandResult
from backends.errors import BackendError, UnreadableReply
from backends.hosts.execution import (
    command_obstacles,
    format_both_outputs,
    format_output,
    query,
    refused_error,
)
from backends.installers.versions import MAX_LISTED_VERSIONS, VersionProbe, only_versions
from backends.node_state import Availability, Presence
from backends.protocols import Host
from backends.templates import NodeShell, TaggedSettings, check_version, check_words, fill

QUERY_TIMEOUT_S = 30.0  # for one query of what is there
VERSIONS_TIMEOUT_S = 20  # for `versions`


class CommandSequence(TaggedSettings, kw_only=True, frozen=True):
    """Settings of one way to install, which also know the commands.

    `values` always has the wanted version, except in `list_command`. An empty tuple means that there is
    nothing to do.

    Attributes:
        versions: template of a shell command that prints the versions that can be installed, the newest first
            and separated by white space; empty for the query of this way to install, if it has one. It must
            change nothing.
    """

    versions: NodeShell = ""

    def __post_init__(self) -> None:
        for field in ("options", "engine_options"):  # of the kinds that have one
            check_words(field, getattr(self, field, ""))

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        raise NotImplementedError

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        """Return what can run while the node still serves."""
        return ()

    def undo_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        """Return what may run after a command of `install_commands` has failed."""
        return ()

    def availability_command(self, values: Mapping[str, str]) -> Command | None:
        """Return a query for whether the version is available; None if there is no such query."""
        return None

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        """Interpret the result of `availability_command`."""
        raise NotImplementedError

    def list_command(self, values: Mapping[str, str]) -> Command | None:
        """Return a query for the versions that can be installed; None if there is no such query."""
        return None

    def read_list(self, result: CommandResult) -> Sequence[str]:
        """Return the texts that may be versions, the newest first, from the result of `list_command`."""
        raise NotImplementedError

    def fetch_command(self, values: Mapping[str, str]) -> Command | None:
        """Return a query for the age of what `availability_command` reads; None if it reads no copy."""
        return None

    def read_fetch(self, result: CommandResult) -> str:
        """Interpret the result of `fetch_command`, as text; empty if it says nothing."""
        raise NotImplementedError

    def obstacle_command(self, values: Mapping[str, str]) -> Command | None:
        """Return a query for whether the node refuses installs; None if there is no such query."""
        return None

    def read_obstacle(self, result: CommandResult) -> str:
        """Interpret the result of `obstacle_command`, as text; empty if the node does not refuse."""
        raise NotImplementedError

    def describe_failure(self, result: CommandResult) -> str:
        """Return the reason that a failed command gave, on one line of bounded length."""
        return format_both_outputs(result)

    def availability_unknown(self) -> str:
        """Return why there is no `availability_command`."""
        return f"install kind {self.__struct_config__.tag!r} cannot tell"


async def query_versions(host: Host, command: Command) -> CommandResult:
    """Run a query for versions. Raises UnreadableReply if it fails, BackendError."""
    result = await query(host, command, timeout=QUERY_TIMEOUT_S)
    if not result.ok:
        raise UnreadableReply(host.name, f"versions: {format_output(result)}")
    return result


@dataclass(frozen=True, slots=True)
class SequenceInstaller:
    """An Installer that runs the commands of a sequence.

    Attributes:
        host: the host on which the commands run.
        probe: reads the installed version, perhaps on another host.
        values: the values of placeholders, except the version.
        timeout: seconds for each command, after which it may still be running on the host.
    """

    host: Host
    sequence: CommandSequence
    probe: VersionProbe
    values: Mapping[str, str]
    timeout: float

    def install_commands(self, version: str) -> tuple[Command, ...]:
        """Return what `install` would run. Raises ConfigError for a version that cannot be installed."""
        return self.sequence.install_commands(self._values_for(version))

    def prefetch_commands(self, version: str) -> tuple[Command, ...]:
        """Return what `prefetch` would run. Raises ConfigError for a version that cannot be installed."""
        return self.sequence.prefetch_commands(self._values_for(version))

    def undo_commands(self, version: str) -> tuple[Command, ...]:
        """Return what `install` may run after a failure. Raises ConfigError as `install_commands` does."""
        return self.sequence.undo_commands(self._values_for(version))

    async def installed(self) -> str | None:
        """Return the version on disk, or None without one. Raises UnreadableReply, Unreachable."""
        return await self.probe.installed()

    async def check_availability(self, version: str) -> Availability:
        """See `backends.protocols.Installer.check_availability`."""
        values = self._values_for(version)
        try:
            if obstacles := await self._find_obstacles(version):
                return Availability(Presence.NOT_THERE, "; ".join(obstacles))
            return await self._look_for(values)
        except BackendError as error:
            return Availability(Presence.NOT_KNOWN, error.problem)

    async def _find_obstacles(self, version: str) -> tuple[str, ...]:
        """Return why it could not be installed; `prefetch` may still bring the first program."""
        if not (commands := self.install_commands(version)):
            return ()
        programs = not self.prefetch_commands(version)
        found = await command_obstacles(self.host, {"install": commands[0]}, track=True, programs=programs)
        command = self.sequence.obstacle_command(self._values_for(version))
        if found or command is None:
            return found
        obstacle = self.sequence.read_obstacle(await query(self.host, command, timeout=QUERY_TIMEOUT_S))
        return (obstacle,) if obstacle else ()

    async def _look_for(self, values: Mapping[str, str]) -> Availability:
        command = self.sequence.availability_command(values)
        if command is None:
            return Availability(Presence.NOT_KNOWN, self.sequence.availability_unknown(), any_version=True)
        result = await query(self.host, command, timeout=QUERY_TIMEOUT_S)
        found = self.sequence.read_availability(result, values)
        command = self.sequence.fetch_command(values)
        if found.presence is Presence.THERE or command is None:
            return found
        fetched = self.sequence.read_fetch(await query(self.host, command, timeout=QUERY_TIMEOUT_S))
        return replace(found, detail=f"{found.detail}; {fetched}") if fetched else found

    async def versions(self) -> tuple[str, ...] | None:
        """See `backends.protocols.Installer.versions`."""
        if not self.sequence.versions:
            return await self._list_versions()
        # It is ended on the node, so that no dialog leaves a hung one there.
        script = shlex.quote(fill(self.sequence.versions, self.values))
        command = Command.shell(f"timeout {VERSIONS_TIMEOUT_S} sh -c {script}")
        result = await query_versions(self.host, command)
        return only_versions(result.stdout.split(), MAX_LISTED_VERSIONS)

    async def _list_versions(self) -> tuple[str, ...] | None:
        """Return `versions` where the configuration has no command for them."""
        command = self.sequence.list_command(self.values)
        if command is None:
            return None
        texts = self.sequence.read_list(await query_versions(self.host, command))
        return only_versions(texts, MAX_LISTED_VERSIONS)

    async def install(self, version: str) -> None:
        """Run the commands to the end. Their success proves nothing: the version must be read back.

        Raises:
            Refused: one of them failed; those after it have not been run.
            UnknownOutcome: the connection or the time ran out; the command may still be running.
            Unreachable: it was not started.
        """
        for command in self.install_commands(version):
            await self._execute(command, f"install {version}")

    async def prefetch(self, version: str) -> None:
        """Fetch what `install` will need; raises as `install` does."""
        for command in self.prefetch_commands(version):
            await self._execute(command, f"prefetch {version}")

    def _values_for(self, version: str) -> Mapping[str, str]:
        return {**self.values, "version": check_version(version)}

    async def _execute(self, command: Command, what: str) -> None:
        result = await self.host.run(command, timeout=self.timeout, track=True)
        if not result.ok:
            raise refused_error(self.host.name, what, result, self.sequence.describe_failure(result))
