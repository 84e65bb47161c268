"""What `monit status` and `monit -v status` of Monit 5.x print: pure functions, tested on captured output."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from backends.errors import UnreadableReply
from backends.node_state import Activity, ServiceState
from backends.services.common import parse_pid
from backends.text import MAX_DETAIL_CHARS, shorten

_NAME = re.compile(r"[A-Z][A-Za-z ]* Name\s+= (?P<name>.+)")
_CONTROL_FIELD = re.compile(r" (?P<key>\S.*?)\s+= (?P<value>.+)")


@dataclass(frozen=True, slots=True)
class MonitControl:
    """One service as the control file has it, and where Monit writes its log."""

    log: str  # path; empty where it is none, or is not known
    starts: bool  # there is a start program
    stops: bool  # there is a stop program
    dependents: tuple[str, ...]  # services that depend on it: a stop of it stops them first
    every: str = ""  # in which cycles Monit checks it, in Monit's words; empty: in each
    cycle: str = ""  # how long one is, in Monit's words, such as "30 seconds with start delay 0 seconds"


def parse_control(text: str, name: str) -> MonitControl | None:
    """Find one service; None when it is not there. Monit ignores case in names."""
    blocks = list(_split_services(text))
    wanted = name.casefold()
    own = next((fields for found, fields in blocks if found.casefold() == wanted), None)
    if own is None:
        return None
    keys = {key for key, _ in own}
    constants = dict(blocks[0][1])
    log = constants.get("Log file", "")
    return MonitControl(
        log=log if log.startswith("/") else "",
        starts="Start program" in keys,
        stops="Stop program" in keys,
        dependents=tuple(
            found
            for found, fields in blocks
            if any(key == "Depends on Service" and value.casefold() == wanted for key, value in fields)
        ),
        every=dict(own).get("Every", ""),
        cycle=constants.get("Poll time", ""),
    )


def _split_services(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the name of each service with its fields; what comes before the first one has no name."""
    name: str = ""
    fields: list[tuple[str, str]] = []
    for line in text.splitlines():
        if match := _NAME.fullmatch(line.rstrip()):
            yield name, fields
            name, fields = match["name"], []
        elif match := _CONTROL_FIELD.fullmatch(line.rstrip()):
            fields.append((match["key"], match["value"]))
        elif line.startswith("---"):
            break  # the status follows
    yield name, fields


_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_HEADER = re.compile(r"[A-Z][A-Za-z ]* '(?P<name>.+)'")
_FIELD = re.compile(r"\s+(?P<key>\S.*?)\s{2,}(?P<value>\S.*)")
_PENDING = re.compile(r"(?P<status>.*) - (?P<action>\w+) pending")
_UNSEEN = frozenset({"initializing", "waiting"})  # Monit has not checked yet


@dataclass(frozen=True, slots=True)
class MonitStatus:
    """One service of `monit status`. All texts are Monit's own."""

    status: str  # "OK", "Not monitored", "Execution failed | Does not exist" ...
    pending: str  # the action that has been asked for and is not done: "stop", "start"; or empty
    mode: str  # "active", "passive", "manual": whether Monit starts it by itself
    pid: int | None
    on_reboot: str = ""  # "start", "nostart", "laststate"; empty: an older Monit, which does not report it

    @property
    def text(self) -> str:
        return f"{self.status} - {self.pending} pending" if self.pending else self.status


def parse_status(text: str, name: str) -> MonitStatus | None:
    """Find one service in the output; None when it is not there. Monit ignores case in names."""
    fields: dict[str, str] = {}
    inside = False
    for line in _COLOR.sub("", text).splitlines():
        if header := _HEADER.fullmatch(line.strip()):
            inside = header["name"].casefold() == name.casefold()
        elif inside and (field := _FIELD.fullmatch(line.rstrip())):
            fields.setdefault(field["key"], field["value"])
    return _build_status(fields) if "status" in fields else None


def _build_status(fields: dict[str, str]) -> MonitStatus:
    status, pending = fields["status"], ""
    if match := _PENDING.fullmatch(status):
        status, pending = match["status"], match["action"]
    return MonitStatus(
        status=status,
        pending=pending,
        mode=fields.get("monitoring mode", ""),
        pid=parse_pid(fields.get("pid", "")),
        on_reboot=fields.get("on reboot", ""),
    )


def state_of(target: str, status: MonitStatus, monitor: str = "monit monitor") -> ServiceState:
    """Return the state of a service; `monitor` is the command that makes Monit watch it again.

    For a service that is "Not monitored" `monit stop` is accepted and does nothing, process or not.

    Nothing is `FAILED`: Monit tries again each cycle, "Execution failed" included, until it is
    "Not monitored". A process that runs is `RUNNING`, also when one of Monit's tests fails on it.

    Raises:
        UnreadableReply: a status that is not known here.
    """
    states = _split_status(status)
    activity = _activity_of(status, states)
    if activity is None:
        raise UnreadableReply(target, f"monit says {status.text!r}")
    return ServiceState(
        activity=activity,
        pid=status.pid,
        detail=shorten(status.text, MAX_DETAIL_CHARS),
        retrying=activity is Activity.CHANGING and not status.pending and not states & _UNSEEN,
        unwatched=(
            f"Monit does not watch it and neither stops nor restarts it; first run: {monitor}"
            if "not monitored" in states and not status.pending
            else ""
        ),
        stopping=status.pending in ("stop", "restart"),
    )


def _split_status(status: MonitStatus) -> set[str]:
    return {part.strip().lower() for part in status.status.split("|")}


def _activity_of(status: MonitStatus, states: set[str]) -> Activity | None:
    absent = bool(states & {"does not exist", "data access error"})
    if status.pending or states & _UNSEEN:
        return Activity.CHANGING
    if "not monitored" in states:
        return Activity.STOPPED
    if absent and status.mode == "passive":
        return Activity.STOPPED  # it only watches, and will not start it
    if absent or "execution failed" in states:
        return Activity.CHANGING
    if status.pid is not None or states & {"ok", "running"}:
        return Activity.RUNNING
    return None
