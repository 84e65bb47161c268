"""Services of systemd: `systemctl`, asked not to wait, and read back by `systemctl show`."""

import shlex
from collections.abc import Mapping

import msgspec

from backends.asking import ask, look, words
from backends.base import Host
from backends.errors import Refused, Unmeasured
from backends.model import Activity, Command, ServiceState
from backends.obstacles import command_obstacles
from backends.placeholders import NoText, ServiceName
from backends.services.names import service_name
from backends.services.pids import parse_pid
from backends.template import check_words
from backends.text_limits import MAX_DETAIL, shorten

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "ControlPID",
    "Result",
    "Job",
    "NeedDaemonReload",
    "CanStart",
    "CanStop",
    "RefuseManualStart",
    "RefuseManualStop",
)

_ACTIVITIES = {
    "active": Activity.RUNNING,
    "reloading": Activity.CHANGING,
    "refreshing": Activity.CHANGING,
    "activating": Activity.CHANGING,  # "auto-restart", between two attempts, is here too
    "deactivating": Activity.CHANGING,
    "inactive": Activity.STOPPED,
    "failed": Activity.FAILED,
}


class SystemdSettings(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="systemd",
):
    """Of the configuration.

    Attributes:
        name: the unit, such as ``shop.service``; `{node}` and the like are filled in.
        user: it belongs to the login user's own systemd (``systemctl --user``).
        command: how it is called there, such as ``sudo -n systemctl``.
        timeout: seconds for one call of ``systemctl``, which never waits for the service.
    """

    name: ServiceName
    user: bool = False
    command: NoText = "systemctl"
    timeout: float = 30.0

    def __post_init__(self) -> None:
        check_words("command", self.command)
        if not self.command.strip():
            raise ValueError("command: found an empty text, expected how systemctl is called")


class SystemdService:
    """One unit. `failed` also follows a stop whose exit status systemd was not told to expect."""

    def __init__(self, host: Host, settings: SystemdSettings, values: Mapping[str, str]) -> None:
        self._host = host
        self._settings = settings
        self._name = service_name(settings.name, values)

    def stop_command(self) -> Command:
        # Without --no-block a connection that is lost would leave the outcome of the call unknown.
        return self._systemctl("--no-block", "stop", "--", self._name)

    def start_command(self) -> Command:
        return self._systemctl("--no-block", "start", "--", self._name)

    def state_command(self) -> Command:
        return self._systemctl("show", f"--property={','.join(PROPERTIES)}", "--", self._name)

    async def stop(self) -> None:
        await self._ask(self.stop_command(), "stop")

    async def start(self) -> None:
        await self._ask(self.start_command(), "start")

    async def state(self) -> ServiceState:
        """Read back.

        Raises:
            Refused: there is no such unit.
            Unmeasured: systemd did not answer, or with a state that is not known here.
        """
        shown = await self._show()
        if shown.get("LoadState") == "not-found" and shown["ActiveState"] == "inactive":
            raise Refused(self._host.name, f"systemd has no unit {self._name}")
        if shown["ActiveState"] not in _ACTIVITIES:
            raise Unmeasured(self._host.name, f"{self._name} is {shown['ActiveState']!r}")
        return state_of(shown)

    async def obstacles(self) -> tuple[str, ...]:
        """See `ServiceManager.obstacles`."""
        shown = await self._show()
        unmask = self._host.render(self._systemctl("unmask", "--", self._name))
        commands = {"stop": self.stop_command(), "start": self.start_command()}
        refused = await command_obstacles(self._host, commands, track=False)
        return (*unit_obstacles(self._name, shown, unmask), *refused)

    async def caveats(self) -> tuple[str, ...]:
        """See `ServiceManager.caveats`."""
        return ()

    async def last_lines(self) -> tuple[str, ...]:
        """See `ServiceManager.last_lines`."""
        return ()

    async def _show(self) -> dict[str, str]:
        result = await look(self._host, self.state_command(), timeout=self._settings.timeout)
        shown = parse_show(result.stdout)
        if not result.ok or "ActiveState" not in shown:
            raise Unmeasured(self._host.name, f"systemctl show {self._name}: {words(result)}")
        return shown

    async def _ask(self, command: Command, action: str) -> None:
        what = f"{action} {self._name}"
        await ask(self._host, command, what, timeout=self._settings.timeout)

    def _systemctl(self, *arguments: str) -> Command:
        scope = ("--user",) if self._settings.user else ()
        return Command((*shlex.split(self._settings.command), *scope, *arguments))


def parse_show(text: str) -> dict[str, str]:
    """Read ``systemctl show``: a key and a value on each line."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def unit_obstacles(name: str, shown: Mapping[str, str], unmask: str) -> tuple[str, ...]:
    """Why systemd would refuse to stop or start a unit with these properties."""
    load = shown.get("LoadState", "loaded")
    if load == "masked":
        return (f"the unit {name} is masked, and systemd would not start it again; first run: {unmask}",)
    if load == "not-found":
        return (f"systemd has no unit file for {name} any more, and could not start it again",)
    if load != "loaded":
        return (f"systemd could not load the unit {name} ({load}), and would not start it again",)
    found = []
    for action in ("Stop", "Start"):
        if shown.get(f"RefuseManual{action}") == "yes":
            found.append(f"the unit {name} has RefuseManual{action}=yes: systemd would refuse to do that")
        elif shown.get(f"Can{action}") == "no":
            found.append(f"systemd says Can{action}=no of {name}")
    return tuple(found)


def state_of(shown: Mapping[str, str]) -> ServiceState:
    """Judge the properties of a unit whose `ActiveState` is known."""
    activity = _ACTIVITIES[shown["ActiveState"]]
    retrying = shown["ActiveState"] == "activating" and shown.get("SubState", "").startswith("auto-restart")
    if shown.get("Job", "0") not in ("", "0"):
        activity = Activity.CHANGING  # asked for and still in the queue
    return ServiceState(
        activity=activity,
        pid=parse_pid(shown.get("MainPID", "")),
        detail=shorten(_detail(shown), MAX_DETAIL),
        retrying=retrying,
    )


def _detail(shown: Mapping[str, str]) -> str:
    parts = [f"{shown['ActiveState']} ({shown.get('SubState', '')})"]
    if shown.get("Result", "success") not in ("", "success"):
        parts.append(f"result {shown['Result']}")
    if shown.get("Job", "0") not in ("", "0"):
        parts.append("a job is queued")
    if shown.get("LoadState", "loaded") != "loaded":
        parts.append(f"unit file {shown['LoadState']}")
    if shown.get("NeedDaemonReload") == "yes":
        parts.append("unit file changed on disk: needs systemctl daemon-reload")
    return ", ".join(parts)
