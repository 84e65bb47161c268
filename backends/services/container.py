"""Containers of Docker or Podman as services, read back by `inspect`."""

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from backends.asking import ask, look, words
from backends.base import Host
from backends.errors import Unmeasured
from backends.model import Activity, Command, ServiceState
from backends.obstacles import command_obstacles
from backends.placeholders import NoText, ServiceName
from backends.services.names import service_name
from backends.template import check_words
from backends.text_limits import MAX_DETAIL, shorten

STOP_MARGIN = 30.0  # seconds the engine gets beyond the stop time-out, to kill and to clean up

_ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)
_STOPPED = frozenset({"created", "configured", "initialized", "exited", "stopped"})
_CHANGING = frozenset({"restarting", "removing", "stopping"})


class ContainerSettings(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="container",
):
    """Of the configuration.

    Attributes:
        name: the container; `{node}` and the like are filled in.
        engine: the program that runs it.
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
    """One container. If it does not exist it is stopped: the installer may create it anew."""

    def __init__(self, host: Host, settings: ContainerSettings, values: Mapping[str, str]) -> None:
        self._host = host
        self._settings = settings
        self._name = service_name(settings.name, values)

    def stop_command(self) -> Command:
        return self._engine("stop", "-t", str(self._settings.stop_timeout), self._name)

    def start_command(self) -> Command:
        return self._engine("start", self._name)

    def state_command(self) -> Command:
        return self._engine("inspect", "--type", "container", "--format", "{{json .State}}", self._name)

    async def stop(self) -> None:
        """Ask, and wait with the engine: it returns when the container has ended."""
        timeout = self._settings.stop_timeout + STOP_MARGIN
        what = f"stop {self._name}"
        await ask(self._host, self.stop_command(), what, timeout=timeout, track=True)

    async def start(self) -> None:
        what, timeout = f"start {self._name}", self._settings.timeout
        await ask(self._host, self.start_command(), what, timeout=timeout, track=True)

    async def state(self) -> ServiceState:
        """Read back.

        Raises:
            Unmeasured: the engine did not answer, or with something that is not known here.
        """
        result = await look(self._host, self.state_command(), timeout=self._settings.timeout)
        if not result.ok:
            if _ABSENT.search(words(result)):
                return ServiceState(Activity.STOPPED, None, f"no such container: {self._name}")
            raise Unmeasured(self._host.name, f"inspect {self._name}: {words(result)}")
        try:
            return state_of(msgspec.json.decode(result.stdout, type=InspectedState))
        except (msgspec.DecodeError, ValueError) as error:
            raise Unmeasured(self._host.name, f"inspect {self._name}: {error}") from error

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        return await command_obstacles(self._host, commands, track=True)

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        return ()

    async def last_lines(self) -> tuple[str, ...]:
        """See `ServiceManager.last_lines`."""
        return ()

    def _engine(self, *arguments: str) -> Command:
        options = shlex.split(self._settings.engine_options)
        return Command((self._settings.engine, *options, *arguments))


class InspectedState(msgspec.Struct, frozen=True, rename="pascal"):
    """`.State` of `inspect`; both engines have these, and more that we do not read."""

    status: str
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    error: str = ""


def state_of(state: InspectedState) -> ServiceState:
    """Judge it.

    A container that ended by itself with an error has `FAILED`: exit statuses from 128 on are
    signals, which is how a stop ends an application that does not exit with 0.

    Raises:
        ValueError: a status that is not known here.
    """
    return ServiceState(
        activity=_activity(state),
        pid=state.pid if state.pid > 0 else None,
        detail=shorten(_detail(state), MAX_DETAIL),
        retrying=state.status == "restarting",
    )


def _activity(state: InspectedState) -> Activity:
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


def _detail(state: InspectedState) -> str:
    parts = [state.status]
    if state.status in ("exited", "stopped", "restarting"):
        parts.append(f"exit status {state.exit_code}")
    if state.oom_killed:
        parts.append("killed for lack of memory")
    if state.error:
        parts.append(" ".join(state.error.split()))
    return ", ".join(parts)
