"""Empty slots: server lines without a machine, which name resolution or a controller has not filled.

Measured on HAProxy 2.2 to 3.2: a slot of `server-template` that name resolution fills is in maintenance by
resolution before it is filled, and again when its record is gone. Its address is then `-`, except in 2.2,
which keeps the last one. A controller fills slots with `set server ... addr`; before that they are
`disabled`, at 0.0.0.0 or all at the same address.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from backends.haproxy.parse import Row, parse_number
from backends.model import Admin

_NONE = frozenset(("", "-"))  # also of a unix socket
_ANY = frozenset(("0.0.0.0", "::"))  # noqa: S104 - compared with, never bound to
FIELDS = ("be_id", "srv_addr", "srv_port", "srv_admin_state", "srv_fqdn", "srvrecord")
_RESOLUTION = int(Admin.RESOLUTION_MAINT)  # as numbers, which are quicker to compare
_OUT = int(Admin.RESOLUTION_MAINT | Admin.FORCED_MAINT)
_DISABLED = int(Admin.CONFIG_MAINT | Admin.FORCED_MAINT)

Source = tuple[str, ...]
"""What fills a line: its backend and the SRV record, or its backend, host name and port."""


class Line(NamedTuple):
    """The fields of one server line in `show servers state`, as they are written there."""

    backend: str
    admin: int  # srv_admin_state
    address: str
    port: str
    host_name: str
    srv_record: str


def build_line(backend: str, state: Row) -> Line:
    """Build a line from its row of `show servers state`. Raises ValueError for a state that is no number."""
    admin, address, port = parse_number(state["srv_admin_state"]), state["srv_addr"], state["srv_port"]
    return Line(backend, admin, address, port, state["srv_fqdn"], state["srvrecord"])


def may_be_empty(admin: int) -> bool:
    """Return whether a line with this `srv_admin_state` has to be examined: nearly none has."""
    return bool(admin & _OUT)


def find_empty_among(lines: Sequence[Line]) -> frozenset[int]:
    """Return the indexes of the empty slots among all lines of one load balancer."""
    return find_empty_slots(
        {at: line for at, line in enumerate(lines) if may_be_empty(line.admin)}, lambda: lines
    )


def find_empty_slots(out: Mapping[int, Line], all_lines: Callable[[], Iterable[Line]]) -> frozenset[int]:
    """Return which of these lines are empty slots.

    A single line is no slot, whatever its state: it is a server that name resolution, or somebody, keeps out.
    Only several lines of one backend that are filled from the same source are slots. A single line is one
    only where the configuration has it disabled and it has never had an address of a server: none at all, or
    one of this machine while the others of its backend are on other machines.

    Args:
        out: the lines that `may_be_empty`, by any number.
        all_lines: all of that load balancer; called only when those that are out do not suffice.
    """
    endpoints = Counter(_endpoint_of(line) for line in out.values() if _is_disabled(line))
    unresolved = [source for line in out.values() if _is_unresolved(line) and (source := _source_of(line))]
    sources = Counter(unresolved)
    alone = {source for source, count in sources.items() if count == 1}
    shared = sources.keys() - alone | _find_shared_sources(alone, all_lines)
    local = {line.backend for line in out.values() if _is_disabled(line) and _is_loopback(line.address)}
    remote = _find_remote_backends(local, all_lines)

    def is_empty(line: Line) -> bool:
        if _is_disabled(line) and endpoints[_endpoint_of(line)] > 1:
            return True
        if _is_disabled(line) and _is_loopback(line.address):
            return line.backend in remote
        if _is_unresolved(line):
            source = _source_of(line)
            never_had_one = _is_configured_out(line) and line.address in _NONE
            return source is None or source in shared or never_had_one
        return line.address in _ANY

    return frozenset(number for number, line in out.items() if is_empty(line))


def _find_shared_sources(alone: set[Source], all_lines: Callable[[], Iterable[Line]]) -> set[Source]:
    """Return the sources from which another line comes too; it stops as soon as all are known."""
    counts: Counter[Source] = Counter()
    remaining, found = set(alone), set[Source]()
    for source in map(_source_of, all_lines()) if alone else ():
        if source in remaining:
            counts[source] += 1
            if counts[source] > 1:
                remaining.discard(source)
                found.add(source)
                if not remaining:
                    break
    return found


def _find_remote_backends(backends: set[str], all_lines: Callable[[], Iterable[Line]]) -> set[str]:
    """Return those of these backends that have a line at another machine's address."""
    lines = all_lines() if backends else ()
    return {line.backend for line in lines if line.backend in backends and _is_elsewhere(line.address)}


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _is_elsewhere(address: str) -> bool:
    return address not in _NONE | _ANY and not _is_loopback(address)


def _is_unresolved(line: Line) -> bool:
    return bool(line.admin & _RESOLUTION)


def _is_disabled(line: Line) -> bool:
    """Return whether the configuration disables it, and it could be filled, unlike a unix socket."""
    return _is_configured_out(line) and line.address not in _NONE


def _is_configured_out(line: Line) -> bool:
    return line.admin & _DISABLED == _DISABLED


def _endpoint_of(line: Line) -> tuple[str, str, str]:
    return line.backend, line.address, line.port


def _source_of(line: Line) -> Source | None:
    """Return what fills a line; None where that is hidden, and for a line with an address of its own."""
    if line.srv_record not in _NONE:
        return line.backend, line.srv_record
    if line.host_name not in _NONE:
        return line.backend, line.host_name, line.port
    return None
