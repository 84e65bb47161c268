"""Units of systemd as `systemctl show` describes them, and the rights that managing them requires."""

import re
from collections.abc import Mapping, Sequence

from backends.command import Command, CommandResult
from backends.hosts.execution import format_output, query
from backends.node_state import Activity, ServiceState
from backends.protocols import Host
from backends.services.common import parse_pid
from backends.text import MAX_DETAIL_CHARS, shorten

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
    "InvocationID",
    "ExecMainStartTimestampMonotonic",
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


def unit_obstacles(name: str, properties: Mapping[str, str], unmask: str) -> tuple[str, ...]:
    """Return why systemd would refuse to stop or start a unit with these properties."""
    load = properties.get("LoadState", "loaded")
    if load == "masked":
        return (f"the unit {name} is masked, and systemd would not start it again; first run: {unmask}",)
    if load == "not-found":
        return (f"systemd has no unit file for {name} any more, and could not start it again",)
    if load != "loaded":
        return (f"systemd could not load the unit {name} ({load}), and would not start it again",)
    found = []
    if properties.get("Type") == "oneshot" and properties.get("RemainAfterExit") == "no":
        found.append(
            f"the unit {name} has Type=oneshot without RemainAfterExit=yes: systemd would never call it"
            " active"
        )
    for action in ("Stop", "Start"):
        if properties.get(f"RefuseManual{action}") == "yes":
            found.append(f"the unit {name} has RefuseManual{action}=yes: systemd would refuse to do that")
        elif properties.get(f"Can{action}") == "no":
            found.append(f"systemd says Can{action}=no of {name}")
    return tuple(found)


def unit_caveats(properties: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a rollout or reboot may meet with a unit of these properties, in words without its name."""
    found = []
    file = properties.get("UnitFileState", "")
    has_starter = any(properties.get(key) for key in ("WantedBy", "RequiredBy", "BoundBy"))
    if file in _NOT_STARTED_AT_BOOT and not has_starter:
        found.append(
            f"its unit is {file}: systemd would not start it after a reboot;"
            f" {'its unit file has no [Install] section' if file == 'static' else 'see systemctl enable'}"
        )
    elif file == "enabled-runtime":
        found.append("its unit is enabled until the next reboot only, and would not be started after it")
    if properties.get("Restart") == "no":
        found.append("its unit has Restart=no: systemd would not start it again when it dies")
    if properties.get("Type") == "oneshot":
        found.append(
            "its unit has Type=oneshot: systemd calls it active whether a process is there or not, and only"
            " the port shows that it runs"
        )
    if properties.get("KillMode") in ("process", "none"):
        found.append(
            f"its unit has KillMode={properties['KillMode']}: what its main process has started may live on"
            " after a stop"
        )
    if properties.get("NeedDaemonReload") == "yes":
        found.append(
            "its unit file has changed since systemd read it; its start after the upgrade first runs"
            " systemctl daemon-reload"
        )
    return tuple(found)


def state_of(properties: Mapping[str, str]) -> ServiceState:
    """Return the state of a unit whose `ActiveState` is known."""
    activity = ACTIVITIES[properties["ActiveState"]]
    substate = properties.get("SubState", "")
    if properties.get("Job", "0") not in ("", "0"):
        activity = Activity.CHANGING  # asked for and still in the queue
    return ServiceState(
        activity=activity,
        pid=parse_pid(properties.get("MainPID", "")),
        detail=shorten(_describe_state(properties), MAX_DETAIL_CHARS),
        retrying=properties["ActiveState"] == "activating" and substate.startswith("auto-restart"),
        stopping=properties["ActiveState"] == "deactivating",
    )


def _describe_state(properties: Mapping[str, str]) -> str:
    parts = [f"{properties['ActiveState']} ({properties.get('SubState', '')})"]
    if properties.get("Result", "success") not in ("", "success"):
        parts.append(f"result {properties['Result']}")
    if properties.get("Job", "0") not in ("", "0"):
        parts.append("a job is queued")
    if properties.get("LoadState", "loaded") != "loaded":
        parts.append(f"unit file {properties['LoadState']}")
    if properties.get("NeedDaemonReload") == "yes":
        parts.append("unit file changed on disk: needs systemctl daemon-reload")
    return ", ".join(parts)


Properties = Mapping[str, tuple[str, ...]]
"""The properties of one unit, by their names; each may be there several times."""

RELATED_PROPERTIES = ("Id", "ActiveState", "Listen")

MAX_RELATED_UNITS = 50  # units that are asked for: a node is not trusted to name few

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]{0,254}")  # as systemd allows, and no option
_STOPS_WITH = ("RequiredBy", "BoundBy", "ConsistsOf")
_STARTS = ("Wants", "Requires", "BindsTo", "Upholds")  # what this unit starts with it
_PORT = re.compile(r"(?:.*:)?([0-9]+) \((?:Stream|SequentialPacket)\)")  # 127.0.0.1:80, [::]:80, 80


def related_units(properties: Mapping[str, str]) -> tuple[str, ...]:
    """Return the units that start this one or stop with it; of targets and slices only upholders."""
    others = " ".join(properties.get(key, "") for key in ("TriggeredBy", *_STOPS_WITH)).split()
    names = [
        *upholding_units(properties),
        *(name for name in others if not name.endswith((".target", ".slice"))),
    ]
    return tuple(dict.fromkeys(name for name in names if is_unit_name(name)))[:MAX_RELATED_UNITS]


def is_unit_name(name: str) -> bool:
    """Return whether systemd allows this as a name, and no program takes it for an option."""
    return _NAME.fullmatch(name) is not None


def upholding_units(properties: Mapping[str, str]) -> tuple[str, ...]:
    """Return the units that name this one in `Upholds=`."""
    return tuple(properties.get("UpheldBy", "").split())


def upheld_obstacles(
    name: str, properties: Mapping[str, str], units: Sequence[Properties]
) -> tuple[str, ...]:
    """Return, as texts, which units make systemd start a service again once it is stopped."""
    return tuple(
        f"{_id_of(unit)} upholds {name} (Upholds=): systemd would start it again as soon as it is stopped"
        for unit in units
        if _is_active(unit) and _id_of(unit) in upholding_units(properties)
    )


def parse_units(text: str) -> tuple[Properties, ...]:
    """Read ``systemctl show`` of several units, with an empty line between two."""
    units = []
    for block in re.split(r"\n[ \t]*\n", text):
        unit: dict[str, tuple[str, ...]] = {}
        for line in block.splitlines():
            key, equals, value = line.partition("=")
            if equals:
                unit[key.strip()] = (*unit.get(key.strip(), ()), value.strip())
        if unit:
            units.append(unit)
    return tuple(units)


def socket_obstacles(name: str, port: str, units: Sequence[Properties]) -> tuple[str, ...]:
    """Return, as texts, which sockets hold the application's port open after the stop, and start it again.

    Args:
        name: the service's unit.
        port: the port of the application; empty when it is not known, and any port may be it.
        units: the units that `parse_units` has read.
    """
    return tuple(
        f"{_id_of(unit)} keeps port {held} open while {name} is stopped, and starts it again at the next"
        " connection: no rollout could see it stop"
        for unit in units
        if _is_active(unit) and (held := _held_port(unit, port))
    )


def relation_caveats(
    properties: Mapping[str, str], units: Sequence[Properties], port: str
) -> tuple[str, ...]:
    """Return what else starts the service, and what else stops with it."""
    triggers = set(properties.get("TriggeredBy", "").split())
    active = [unit for unit in units if _is_active(unit)]
    starting = [_id_of(unit) for unit in active if _id_of(unit) in triggers and not _held_port(unit, port)]
    starters = triggers.union(upholding_units(properties))
    stopping = [_id_of(unit) for unit in active if _id_of(unit) not in starters]
    found = [
        f"{trigger} starts its unit too, also while it is stopped for an upgrade" for trigger in starting
    ]
    started = {name for key in _STARTS for name in properties.get(key, "").split()}
    if lost := [name for name in stopping if name not in started]:
        found.append(f"what stops with its unit, and is not started again with it: {', '.join(lost)}")
    if again := [name for name in stopping if name in started]:
        found.append(f"what stops with its unit, and is started again with it: {', '.join(again)}")
    return tuple(found)


def _held_port(unit: Properties, port: str) -> str:
    """Return the application's port, if this unit is a socket that listens on it; else an empty text."""
    matches = (_PORT.fullmatch(listen) for listen in unit.get("Listen", ()))
    ports = [match[1] for match in matches if match]
    return next((held for held in ports if not port or held == port), "")


def _id_of(unit: Properties) -> str:
    return unit.get("Id", ("",))[0]


def _is_active(unit: Properties) -> bool:
    return unit.get("ActiveState", ("",))[0] in ("active", "activating", "reloading")


# Details such as the unit's name could be given by root alone: a rule for one unit is not known this way.
_RIGHTS = """
test "$(id -u)" = 0 && echo allowed && exit
pkcheck --action-id org.freedesktop.systemd1.manage-units --process $$ >/dev/null 2>&1 && echo allowed ||
echo not"""
NOT_ALLOWED = (
    "systemctl is called without sudo by a user who is not root, and polkit does not let that user stop and"
    " start every unit: whether one of its rules allows it for this unit is known only when the stop is tried"
)


def rights_command() -> Command:
    """Print `not` where polkit has no rule that lets the user manage every unit; change nothing."""
    return Command(("sh", "-c", _RIGHTS))


def rights_caveat(result: CommandResult) -> str:
    """Return the caveat; empty where root or polkit's rules for every unit allow it, or nothing is known."""
    return NOT_ALLOWED if result.ok and result.stdout.strip() == "not" else ""


LINGER = Command(("sh", "-c", 'exec loginctl show-user --property=Linger -- "$(id -u)"'))


async def lingering_caveats(host: Host, timeout_s: float) -> tuple[str, ...]:
    """Return what logins may do to the units of a user; see `ServiceManager.caveats`.

    Raises:
        Unreachable: as it comes from the host.
        UnreadableReply: the answer was lost.
    """
    result = await query(host, LINGER, timeout=timeout_s)
    match parse_show(result.stdout).get("Linger") if result.ok else None:
        case "yes":
            return ()
        case "no":
            return (
                "its unit belongs to a user who does not linger: it ends with that user's last login, perhaps"
                " Rolldeck's own, and systemd would not start it after a reboot; see loginctl enable-linger",
            )
    return (
        "whether its unit keeps running when its user is not logged in cannot be checked:"
        f" {format_output(result)}",
    )
