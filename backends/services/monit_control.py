"""What `monit -v status` tells of Monit's control file: pure functions, tested on captured output."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAME = re.compile(r"[A-Z][A-Za-z ]* Name\s+= (?P<name>.+)")
_FIELD = re.compile(r" (?P<key>\S.*?)\s+= (?P<value>.+)")


@dataclass(frozen=True, slots=True)
class MonitControl:
    """One service as the control file has it, and where Monit writes its log."""

    log: str  # path; empty where it is none, or is not known
    starts: bool  # there is a start program
    stops: bool  # there is a stop program
    dependents: tuple[str, ...]  # services that depend on it: a stop of it stops them first
    every: str = ""  # in which cycles Monit looks at it, in Monit's words; empty: in each
    cycle: str = ""  # how long one is, in Monit's words, such as "30 seconds with start delay 0 seconds"


def parse_control(text: str, name: str) -> MonitControl | None:
    """Find one service; None when it is not there. Monit ignores case in names."""
    blocks = list(_blocks(text))
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


def _blocks(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The name of each service with its fields; what comes before the first one has no name."""
    name: str = ""
    fields: list[tuple[str, str]] = []
    for line in text.splitlines():
        if match := _NAME.fullmatch(line.rstrip()):
            yield name, fields
            name, fields = match["name"], []
        elif match := _FIELD.fullmatch(line.rstrip()):
            fields.append((match["key"], match["value"]))
        elif line.startswith("---"):
            break  # the status follows
    yield name, fields


def lines_about(log: str, name: str) -> str:
    """The lines of Monit's log in which it names this service."""
    quoted = f"'{name}'".casefold()
    return "\n".join(line for line in log.splitlines() if quoted in line.casefold())
