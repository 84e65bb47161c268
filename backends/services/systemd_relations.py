"""Other units of systemd that start a service, or stop with it."""

import re
from collections.abc import Mapping, Sequence

Properties = Mapping[str, tuple[str, ...]]
"""Of one unit, by name; a property may be there several times."""

RELATED_PROPERTIES = ("Id", "ActiveState", "Listen")

MAX_RELATED = 50  # units that are asked for: a node is not trusted to name few

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]{0,254}")  # as systemd allows, and no option
_STOPS_WITH = ("RequiredBy", "BoundBy", "ConsistsOf")
_STARTS = ("Wants", "Requires", "BindsTo", "Upholds")  # what this unit starts with it
_PORT = re.compile(r"(?:.*:)?([0-9]+) \((?:Stream|SequentialPacket)\)")  # 127.0.0.1:80, [::]:80, 80


def related_units(shown: Mapping[str, str]) -> tuple[str, ...]:
    """Units that start this one or stop with it; nobody would miss a target, but it may start others."""
    others = " ".join(shown.get(key, "") for key in ("TriggeredBy", *_STOPS_WITH)).split()
    names = [*upholding(shown), *(name for name in others if not name.endswith((".target", ".slice")))]
    return tuple(dict.fromkeys(name for name in names if is_unit_name(name)))[:MAX_RELATED]


def is_unit_name(name: str) -> bool:
    """Whether it is a name that systemd allows, and no option of its programs."""
    return _NAME.fullmatch(name) is not None


def upholding(shown: Mapping[str, str]) -> tuple[str, ...]:
    """Units that name this one in `Upholds=`."""
    return tuple(shown.get("UpheldBy", "").split())


def upheld_obstacles(name: str, shown: Mapping[str, str], units: Sequence[Properties]) -> tuple[str, ...]:
    """Units for whose sake systemd starts a service again once it is stopped; see `socket_obstacles`."""
    return tuple(
        f"{_id(unit)} upholds {name} (Upholds=): systemd would start it again as soon as it is stopped"
        for unit in units
        if _is_active(unit) and _id(unit) in upholding(shown)
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
    """Sockets of systemd that hold the application's port open after the stop, and start it again.

    Args:
        name: the service's unit.
        port: of the application; empty when it is not known, and any port may be it.
        units: as `parse_units` reads them.
    """
    return tuple(
        f"{_id(unit)} keeps port {held} open while {name} is stopped, and starts it again at the next"
        " connection: no rollout could see it stop"
        for unit in units
        if _is_active(unit) and (held := _held_port(unit, port))
    )


def relation_caveats(shown: Mapping[str, str], units: Sequence[Properties], port: str) -> tuple[str, ...]:
    """What else starts the service, and what else stops with it."""
    triggers = set(shown.get("TriggeredBy", "").split())
    active = [unit for unit in units if _is_active(unit)]
    starting = [_id(unit) for unit in active if _id(unit) in triggers and not _held_port(unit, port)]
    starters = triggers.union(upholding(shown))
    stopping = [_id(unit) for unit in active if _id(unit) not in starters]
    found = [
        f"{trigger} starts its unit too, also while it is stopped for an upgrade" for trigger in starting
    ]
    started = {name for key in _STARTS for name in shown.get(key, "").split()}
    if lost := [name for name in stopping if name not in started]:
        found.append(f"what stops with its unit, and is not started again with it: {', '.join(lost)}")
    if again := [name for name in stopping if name in started]:
        found.append(f"what stops with its unit, and is started again with it: {', '.join(again)}")
    return tuple(found)


def _held_port(unit: Properties, port: str) -> str:
    """The application's port, when this unit is a socket that listens on it."""
    matches = (_PORT.fullmatch(listen) for listen in unit.get("Listen", ()))
    ports = [match[1] for match in matches if match]
    return next((held for held in ports if not port or held == port), "")


def _id(unit: Properties) -> str:
    return unit.get("Id", ("",))[0]


def _is_active(unit: Properties) -> bool:
    return unit.get("ActiveState", ("",))[0] in ("active", "activating", "reloading")
