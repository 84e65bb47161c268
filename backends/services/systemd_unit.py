"""What the properties say that `systemctl show` prints of one unit."""

from collections.abc import Mapping

from backends.model import Activity, ServiceState
from backends.services.pids import parse_pid
from backends.text_limits import MAX_DETAIL, shorten

PROPERTIES = (
    "Id",
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
    "UnitFileState",
    "Type",
    "RemainAfterExit",
    "Restart",
    "NRestarts",
    "KillMode",
    "TriggeredBy",
    "WantedBy",
    "RequiredBy",
    "BoundBy",
    "ConsistsOf",
    "UpheldBy",
    "Wants",
    "Requires",
    "BindsTo",
    "Upholds",
)

ACTIVITIES = {
    "active": Activity.RUNNING,
    "reloading": Activity.CHANGING,
    "refreshing": Activity.CHANGING,
    "activating": Activity.CHANGING,  # "auto-restart", between two attempts, is here too
    "deactivating": Activity.CHANGING,
    "inactive": Activity.STOPPED,
    "failed": Activity.FAILED,
}

# Of `indirect` and `alias` another unit file decides, and `generated` ones come from whatever starts them.
_NOT_STARTED_AT_BOOT = frozenset({"disabled", "static", "linked", "linked-runtime", "transient"})


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
    if shown.get("Type") == "oneshot" and shown.get("RemainAfterExit") == "no":
        found.append(
            f"the unit {name} has Type=oneshot without RemainAfterExit=yes: systemd would never call it"
            " active"
        )
    for action in ("Stop", "Start"):
        if shown.get(f"RefuseManual{action}") == "yes":
            found.append(f"the unit {name} has RefuseManual{action}=yes: systemd would refuse to do that")
        elif shown.get(f"Can{action}") == "no":
            found.append(f"systemd says Can{action}=no of {name}")
    return tuple(found)


def unit_caveats(shown: Mapping[str, str]) -> tuple[str, ...]:
    """What a rollout or a reboot may meet with a unit of these properties; its name is not in the words."""
    found = []
    file = shown.get("UnitFileState", "")
    if file in _NOT_STARTED_AT_BOOT and not any(
        shown.get(key) for key in ("WantedBy", "RequiredBy", "BoundBy")
    ):
        found.append(
            f"its unit is {file}: systemd would not start it after a reboot;"
            f" {'its unit file has no [Install] section' if file == 'static' else 'see systemctl enable'}"
        )
    elif file == "enabled-runtime":
        found.append("its unit is enabled until the next reboot only, and would not be started after it")
    if shown.get("Restart") == "no":
        found.append("its unit has Restart=no: systemd would not start it again when it dies")
    if shown.get("Type") == "oneshot":
        found.append(
            "its unit has Type=oneshot: systemd calls it active whether a process is there or not, and only"
            " the port tells"
        )
    if shown.get("KillMode") in ("process", "none"):
        found.append(
            f"its unit has KillMode={shown['KillMode']}: what its main process has started may live on after"
            " a stop"
        )
    if shown.get("NeedDaemonReload") == "yes":
        found.append(
            "its unit file was changed since systemd has read it; its start after the upgrade has it read, by"
            " systemctl daemon-reload"
        )
    return tuple(found)


def state_of(shown: Mapping[str, str]) -> ServiceState:
    """Judge the properties of a unit whose `ActiveState` is known."""
    activity = ACTIVITIES[shown["ActiveState"]]
    retrying = shown["ActiveState"] == "activating" and shown.get("SubState", "").startswith("auto-restart")
    if shown.get("Job", "0") not in ("", "0"):
        activity = Activity.CHANGING  # asked for and still in the queue
    return ServiceState(
        activity=activity,
        pid=parse_pid(shown.get("MainPID", "")),
        detail=shorten(_detail(shown), MAX_DETAIL),
        retrying=retrying,
        stopping=shown["ActiveState"] == "deactivating",
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
