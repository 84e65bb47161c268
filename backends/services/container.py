"""Containers of Docker or Podman as services, read back by `inspect`."""

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from backends.command import Command
from backends.errors import UnreadableReply
from backends.hosts.execution import command_obstacles, execute, format_output, query
from backends.node_state import Activity, LogSource, ServiceState
from backends.protocols import Host
from backends.services.common import inspect_format, is_absent, service_name
from backends.services.container_output import (
    InspectedCreation,
    InspectedState,
    is_active_command,
    keeper_obstacle,
    reboot_caveat,
    start_problem,
    state_of,
    unit_obstacle,
    unit_of,
)
from backends.services.log import LoggedService, LoggedSettings
from backends.templates import NoText, ServiceName, check_words
from backends.text import MAX_LAST_LINES, last_lines

STOP_MARGIN_S = 30.0  # the engine gets beyond the stop time-out, to kill and to clean up

_CREATION = (
    '{"RestartPolicy":{{json .HostConfig.RestartPolicy}},"AutoRemove":{{json .HostConfig.AutoRemove}},'
    '"Labels":{{json .Config.Labels}}}'
)
_NO_LOGS = re.compile(r"does not support reading|using the 'none' log driver", re.IGNORECASE)


class ContainerSettings(LoggedSettings, kw_only=True, frozen=True, tag="container"):
    """Settings of a container.

    Attributes:
        name: name of the container; `{node}` and the like are filled in.
        engine: the engine that runs it.
        engine_options: options before the command, such as ``--cgroup-manager=cgroupfs``.
        stop_timeout: seconds the application gets between SIGTERM and SIGKILL.
        timeout: seconds for any other call of the engine.
    """

    name: ServiceName
    engine: Literal["docker", "podman"] = "docker"
    engine_options: NoText = ""
    stop_timeout: Annotated[int, msgspec.Meta(ge=0)] = 30  # a negative one would mean for ever
    timeout: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words("engine_options", self.engine_options)


class ContainerService(LoggedService[ContainerSettings]):
    """One container. A container that does not exist counts as stopped: the installer may create it anew.

    Args:
        host: the host of the engine.
        settings: the settings in the configuration.
        values: the values of placeholders in templates.
        recreated: whether an install creates the container anew; None if that is unknown.
    """

    def __init__(
        self,
        host: Host,
        settings: ContainerSettings,
        values: Mapping[str, str],
        *,
        recreated: bool | None = None,
    ) -> None:
        super().__init__(host, settings, values)
        self._recreated = recreated
        self._name = service_name(settings.name, values)

    def stop_command(self) -> Command:
        return self._engine_command("stop", "-t", str(self._settings.stop_timeout), self._name)

    def start_command(self) -> Command:
        return self._engine_command("start", self._name)

    def state_command(self) -> Command:
        return self._engine_command(
            "inspect", "--type", "container", "--format", self._format("{{json .State}}"), self._name
        )

    async def stop(self) -> None:
        """Stop the container. The engine returns when it has ended."""
        timeout = self._settings.stop_timeout + STOP_MARGIN_S
        what = f"stop {self._name}"
        await execute(self._host, self.stop_command(), what, timeout=timeout, track=True)

    async def start(self) -> None:
        what, timeout = f"start {self._name}", self._settings.timeout
        await execute(self._host, self.start_command(), what, timeout=timeout, track=True)

    async def state(self) -> ServiceState:
        """Read the state of the service.

        Raises:
            UnreadableReply: the engine did not answer, or answered with an unknown state.
        """
        result = await query(self._host, self.state_command(), timeout=self._settings.timeout)
        if is_absent(result):
            return ServiceState(Activity.STOPPED, None, f"no such container: {self._name}")
        if not result.ok:
            raise UnreadableReply(self._host.name, f"inspect {self._name}: {format_output(result)}")
        try:
            return state_of(
                msgspec.json.decode(result.stdout, type=InspectedState),
                unpause=self._host.render(self._engine_command("unpause", self._name)),
                waits=self._settings.engine == "docker",
            )
        except (msgspec.DecodeError, ValueError) as error:
            raise UnreadableReply(self._host.name, f"inspect {self._name}: {error}") from error

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        refused = await command_obstacles(self._host, commands, track=True)
        creation = await self._read_creation()
        doubt = start_problem(creation) if self._recreated is False else ""
        return (*filter(None, [doubt, await self._find_keeper(creation)]), *refused)

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        creation = await self._read_creation()
        doubt = start_problem(creation) if self._recreated is None else ""
        return tuple(filter(None, [doubt, reboot_caveat(creation) if creation else ""]))

    async def _own_last_lines(self) -> tuple[str, ...]:
        """Return the end of the container's output. Time stamps merge the lines of the two outputs."""
        command = self._engine_command("logs", "--timestamps", "--tail", str(MAX_LAST_LINES), self._name)
        result = await query(self._host, command, timeout=self._settings.timeout)
        if not result.ok:
            if is_absent(result) or _NO_LOGS.search(format_output(result)):
                return ()
            raise UnreadableReply(self._host.name, f"logs of {self._name}: {format_output(result)}")
        # Not `splitlines`, which also splits at characters within a line.
        stamped = [line.partition(" ") for line in (result.stdout + result.stderr).split("\n")]
        stamped.sort(key=lambda line: line[0])
        return last_lines("\n".join(text for _, _, text in stamped))

    async def _own_log(self, lines: int, *, follow: bool) -> LogSource:
        """Return the container's output. With the container the command ends, too."""
        going_on = ("--follow",) if follow else ()
        command = self._engine_command("logs", "--tail", str(lines), *going_on, self._name)
        return LogSource(f"{self._settings.engine} logs {self._name}", command, ends=not follow)

    async def _find_keeper(self, creation: "InspectedCreation | None") -> str:
        """Return who else would start the container again, as text; empty if nobody is known."""
        labels = (creation and creation.labels) or {}
        if obstacle := keeper_obstacle(labels):
            return obstacle
        if not (unit := unit_of(labels)):
            return ""
        active = await query(self._host, is_active_command(unit), timeout=self._settings.timeout)
        return unit_obstacle(unit) if active.ok else ""

    async def _read_creation(self) -> "InspectedCreation | None":
        """Read how the container was created; None when there is none."""
        command = self._engine_command(
            "inspect", "--type", "container", "--format", self._format(_CREATION), self._name
        )
        result = await query(self._host, command, timeout=self._settings.timeout)
        if is_absent(result):
            return None
        if not result.ok:
            raise UnreadableReply(self._host.name, f"inspect {self._name}: {format_output(result)}")
        try:
            return msgspec.json.decode(result.stdout, type=InspectedCreation)
        except msgspec.DecodeError as error:
            raise UnreadableReply(self._host.name, f"inspect {self._name}: {error}") from error

    def _format(self, go_template: str) -> str:
        return inspect_format(self._name, go_template)

    def _engine_command(self, *arguments: str) -> Command:
        options = shlex.split(self._settings.engine_options)
        return Command((self._settings.engine, *options, *arguments))
