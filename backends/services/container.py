"""Containers of Docker or Podman as services, read back by `inspect`."""

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from backends.command import Command
from backends.errors import UnreadableReply
from backends.hosts.execution import command_obstacles, execute, format_output, query
from backends.node_state import Activity, ServiceState
from backends.protocols import Host
from backends.services.common import (
    inspect_format,
    is_absent,
    is_active_command,
    keeper_obstacle,
    service_name,
    unit_obstacle,
    unit_of,
)
from backends.templates import NoText, ServiceName, TaggedSettings, check_words
from backends.text import MAX_DETAIL_CHARS, MAX_LAST_LINES, last_lines, shorten

STOP_MARGIN_S = 30.0  # the engine gets beyond the stop time-out, to kill and to clean up

_STOPPED = frozenset({"created", "configured", "initialized", "exited", "stopped"})
_CHANGING = frozenset({"restarting", "removing", "stopping"})
_CREATION = (
    '{"RestartPolicy":{{json .HostConfig.RestartPolicy}},"AutoRemove":{{json .HostConfig.AutoRemove}},'
    '"Labels":{{json .Config.Labels}}}'
)
_NO_LOGS = re.compile(r"does not support reading|using the 'none' log driver", re.IGNORECASE)


class ContainerSettings(TaggedSettings, kw_only=True, frozen=True, tag="container"):
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
        check_words("engine_options", self.engine_options)


class ContainerService:
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
        self._host = host
        self._settings = settings
        self._recreated = recreated
        self._name = service_name(settings.name, values)

    def stop_command(self) -> Command:
        return self._engine("stop", "-t", str(self._settings.stop_timeout), self._name)

    def start_command(self) -> Command:
        return self._engine("start", self._name)

    def state_command(self) -> Command:
        return self._engine(
            "inspect", "--type", "container", "--format", self._show("{{json .State}}"), self._name
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
                unpause=self._host.render(self._engine("unpause", self._name)),
                waits=self._settings.engine == "docker",
            )
        except (msgspec.DecodeError, ValueError) as error:
            raise UnreadableReply(self._host.name, f"inspect {self._name}: {error}") from error

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        refused = await command_obstacles(self._host, commands, track=True)
        creation = await self._creation()
        doubt = start_problem(creation) if self._recreated is False else ""
        return (*filter(None, [doubt, await self._keeper(creation)]), *refused)

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        creation = await self._creation()
        doubt = start_problem(creation) if self._recreated is None else ""
        return tuple(filter(None, [doubt, reboot_caveat(creation) if creation else ""]))

    async def last_lines(self) -> tuple[str, ...]:
        """See `ServiceManager.last_lines`. Time stamps merge the lines of the two outputs."""
        command = self._engine("logs", "--timestamps", "--tail", str(MAX_LAST_LINES), self._name)
        result = await query(self._host, command, timeout=self._settings.timeout)
        if not result.ok:
            if is_absent(result) or _NO_LOGS.search(format_output(result)):
                return ()
            raise UnreadableReply(self._host.name, f"logs of {self._name}: {format_output(result)}")
        stamped = [line.partition(" ") for line in (result.stdout + result.stderr).splitlines()]
        stamped.sort(key=lambda line: line[0])
        return last_lines("\n".join(text for _, _, text in stamped))

    async def _keeper(self, creation: "InspectedCreation | None") -> str:
        """Return who else would start the container again, as text; empty if nobody is known."""
        labels = (creation and creation.labels) or {}
        if obstacle := keeper_obstacle(labels):
            return obstacle
        if not (unit := unit_of(labels)):
            return ""
        active = await query(self._host, is_active_command(unit), timeout=self._settings.timeout)
        return unit_obstacle(unit) if active.ok else ""

    async def _creation(self) -> "InspectedCreation | None":
        """Read how the container was created; None when there is none."""
        command = self._engine(
            "inspect", "--type", "container", "--format", self._show(_CREATION), self._name
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

    def _show(self, go_template: str) -> str:
        return inspect_format(self._name, go_template)

    def _engine(self, *arguments: str) -> Command:
        options = shlex.split(self._settings.engine_options)
        return Command((self._settings.engine, *options, *arguments))


class RestartPolicy(msgspec.Struct, frozen=True, rename="pascal"):
    """Podman leaves the name empty where Docker says "no"."""

    name: str = ""


class InspectedCreation(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of `.HostConfig` of `inspect` that is read."""

    restart_policy: RestartPolicy
    auto_remove: bool
    labels: dict[str, str] | None = None


def start_problem(creation: InspectedCreation | None) -> str:
    """Return why a start may find no container; empty if nothing suggests that."""
    if creation is None:
        return "the container does not exist, and only a container installer would create it"
    if creation.auto_remove:
        return (
            "the container was made with --rm: its engine removes it when it is stopped,"
            " and only an installer of containers would create it again"
        )
    return ""


def reboot_caveat(creation: InspectedCreation) -> str:
    """Return what happens to the container without a command of anybody; empty if nothing does."""
    reboot = "after a reboot it is up only if something else starts it"
    match creation.restart_policy.name:
        case "unless-stopped":
            return ""
        case "always":
            return (
                "the container has the restart policy always: an engine that is itself restarted starts it,"
                " even while it is stopped for an upgrade"
            )
        case "on-failure":
            return f"the container has the restart policy on-failure: {reboot}"
    return f"the container has no restart policy: {reboot}"


class InspectedProbe(msgspec.Struct, frozen=True, rename="pascal"):
    """One run of a health check."""

    exit_code: int = 0
    output: str = ""


class InspectedHealth(msgspec.Struct, frozen=True, rename="pascal"):
    """The health check of the image; without one Podman reports it with an empty status."""

    status: str = ""
    log: list[InspectedProbe] | None = None  # the newest is the last


_UNCHECKED = ("", "none")


class InspectedState(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of `.State` of `inspect` that is read; both engines have it."""

    status: str
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    error: str = ""
    health: InspectedHealth | None = None


def state_of(state: InspectedState, *, unpause: str = "", waits: bool = True) -> ServiceState:
    """Return the state of a service from what `inspect` shows.

    A container that ended by itself with an error has `FAILED`: exit statuses from 128 on are
    signals, which is how a stop ends an application that does not exit with 0. One that runs, and whose
    own health check has not passed, is not up yet.

    Args:
        state: the `.State` that `inspect` shows.
        unpause: the command that ends a pause, for people.
        waits: a health check that has not given a result yet will: Podman without systemd runs none.

    Raises:
        ValueError: a status that is not known here.
    """
    doubt = _health_problem(state, waits=waits)
    return ServiceState(
        activity=Activity.CHANGING if doubt else _activity_of(state),
        pid=state.pid if state.pid > 0 else None,
        detail=shorten(_describe_state(state, doubt), MAX_DETAIL_CHARS),
        retrying=state.status == "restarting",
        stopping=state.status in ("removing", "stopping"),
        unwatched=f"it is paused, which `{unpause}` ends" if unpause and state.status == "paused" else "",
        self_checked=state.health is not None and state.health.status not in _UNCHECKED,
    )


def _health_problem(state: InspectedState, *, waits: bool) -> str:
    """Return why the container's own health check keeps it from being up; empty if it does not."""
    if state.health is None or state.status != "running":
        return ""
    match state.health.status:
        case "unhealthy":
            return f"unhealthy by its own health check{_last_output(state.health)}"
        case "starting" if waits:
            return "its own health check has not passed yet"
    return ""


def _last_output(health: InspectedHealth) -> str:
    """Return the output of the last run, or else how it ended, as a suffix."""
    last = health.log[-1] if health.log else InspectedProbe()
    if output := " ".join(last.output.split()):
        return f": {output}"
    return f": exit status {last.exit_code}" if last.exit_code else ""


def _activity_of(state: InspectedState) -> Activity:
    if state.status == "running":
        return Activity.RUNNING
    if state.status in _CHANGING:
        return Activity.CHANGING
    if state.status in ("paused", "dead"):
        return Activity.FAILED
    if state.status not in _STOPPED:
        raise ValueError(f"the status is {state.status!r}")
    failed = state.oom_killed or state.error or 0 < state.exit_code < 128
    return Activity.FAILED if failed else Activity.STOPPED


def _describe_state(state: InspectedState, doubt: str) -> str:
    parts = [state.status]
    if state.status in ("exited", "stopped", "restarting"):
        parts.append(f"exit status {state.exit_code}")
    if doubt:
        parts.append(doubt)
    if state.oom_killed:
        parts.append("killed for lack of memory")
    if state.error:
        parts.append(" ".join(state.error.split()))
    return ", ".join(parts)
