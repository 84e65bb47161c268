"""A table of load balancers with a row for each fact: those that do not fit side by side follow below."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.cells import cell_len

from backends.haproxy.columns import Name
from backends.model import AdminState, Server
from backends.text import format_since, visible
from orchestrator.events.text import format_health
from orchestrator.live.poller import BalancerView
from widgets.detail.model import Detail
from widgets.segments import MAX_CELL_CHARS, Segment, fit, truncate
from widgets.table.cell_text import NO_VALUE, format_number, format_percent
from widgets.table.server_status import judge_server

Cell: TypeAlias = list[Segment]
_HEALTH_KINDS = {"▲": "ok", "△": "moving", "▼": "bad"}
_NUMBER = 7  # cells of a number, so that units are aligned


def _figure(value: str, unit: str = "") -> Cell:
    return [(f"{value:>{_NUMBER}}", "plain"), (f" {unit}" if unit else "", "quiet")]


def _rotation(server: Server, instance: BalancerView) -> Cell:
    if server.in_rotation:
        return [("✓ in rotation", "ok")]
    kind = judge_server(server, has_sessions=server.sessions > 0).kind
    return (
        [("△ takes traffic, not proven", "moving")]
        if server.receives_traffic
        else [("✗ out of rotation", kind)]
    )


def _admin(server: Server, instance: BalancerView) -> Cell:
    kind = (
        "plain"
        if server.admin_state is AdminState.READY
        else judge_server(server, has_sessions=server.sessions > 0).kind
    )
    return [(server.admin_state.value, kind)]


def _health(server: Server, instance: BalancerView) -> Cell:
    words = format_health(server)
    # Of the word alone: a drained server that is up is as healthy as any other.
    kind = _HEALTH_KINDS.get(words[:1], "quiet")
    words = "not checked" if words == "-" else words
    return [(words, kind), (f"  since {format_since(server.last_change)}", "quiet")]


def _status(server: Server, instance: BalancerView) -> Cell:
    return [(server.status, "plain"), (" (backup)" if server.backup else "", "quiet")]


def _weight(server: Server, instance: BalancerView) -> Cell:
    if server.throttle is not None:
        return [*_figure(str(server.effective_weight), f"of {server.weight}, slow start {server.throttle} %")]
    changed = server.weight != server.initial_weight
    return _figure(str(server.weight), f"of {server.initial_weight} configured" if changed else "")


def _sessions(server: Server, instance: BalancerView) -> Cell:
    return _figure(
        format_number(server.sessions, _NUMBER), f"in flight, {format_number(server.queue, 5)} queued"
    )


def _requests(server: Server, instance: BalancerView) -> Cell:
    place = instance.rows.index.get((server.ref.backend, server.ref.server))
    if place is None or instance.state != "live":
        return _figure(NO_VALUE)
    requests, failed = instance.rates.counts(place)
    if failed is None:
        words = " errors unknown (TCP)"
    else:
        words = f" {format_percent(failed / max(requests, failed) if failed else 0.0)} % errors"
    rate = format_number(instance.rates.rate(place), _NUMBER)
    return [*_figure(rate, "/s,"), (words, "bad" if failed else "quiet")]


def _response(server: Server, instance: BalancerView) -> Cell:
    place = instance.rows.index.get((server.ref.backend, server.ref.server))
    found = instance.rates.response_time(place) if place is not None else None
    if found is None:
        return _figure(NO_VALUE)
    return _figure(str(found.ms), "ms now" if found.is_recent else "ms, HAProxy's average")


def _address(server: Server, instance: BalancerView) -> Cell:
    if not server.address:
        return [("not shown", "quiet")]
    host = f"[{server.address}]" if ":" in server.address else server.address
    return [
        (f"{host}:{server.port}", "plain"),
        (f"  cookie {server.cookie}" if server.cookie else "", "quiet"),
    ]


def _check(server: Server, instance: BalancerView) -> Cell:
    if server.track_target:
        return [(f"that of {server.track_target}", "plain")]
    if not server.has_checks:
        return [("none", "quiet")]
    if not server.check_status:
        return [("none in maintenance", "quiet")]
    good = server.check_status.endswith(("OK", "OKC"))
    took = f" in {server.check_duration} ms" if server.check_duration is not None else ""
    return [
        (f"{server.check_status} {server.check_code}".rstrip(), "plain" if good else "bad"),
        (took, "quiet"),
    ]


def _last_result(server: Server, instance: BalancerView) -> Cell:
    return [(server.last_check or NO_VALUE, "plain" if server.last_check else "quiet")]


def _proof(server: Server, instance: BalancerView) -> Cell:
    if not server.has_checks or not server.check_fall:  # as in maintenance
        return [(NO_VALUE, "quiet")]
    full = server.check_health == server.full_health
    return [
        (f"{server.check_health}/{server.full_health}", "plain" if full else "moving"),
        (f"  rise {server.check_rise}, fall {server.check_fall}, {server.check_failures} failed", "quiet"),
    ]


def _agent(server: Server, instance: BalancerView) -> Cell:
    if not server.agent_configured:
        return [("none", "quiet")]
    if not server.agent:
        return [("disabled", "moving")]
    words = server.last_agent.removeprefix("via agent : ")
    return [
        (server.agent_status, "bad" if server.agent_status == "L7STS" else "plain"),
        (f"  {words}", "plain"),
    ]


ROWS: tuple[tuple[str, Callable[[Server, BalancerView], Cell]], ...] = (
    ("rotation", _rotation),
    ("admin", _admin),
    ("health", _health),
    ("HAProxy", _status),
    ("weight", _weight),
    ("sessions", _sessions),
    ("requests", _requests),
    ("response", _response),
    ("address", _address),
)
CHECKS: tuple[tuple[str, Callable[[Server, BalancerView], Cell]], ...] = (
    ("check", _check),
    ("said", _last_result),
    ("passed", _proof),
    ("agent", _agent),  # the last one: left out where there are none
)

LABEL_CELLS = 11  # cells before the columns
NARROWEST, WIDEST = 30, 56  # cells of a column


def build_state(detail: Detail, name: Name, width: int) -> list[list[Segment]]:
    """Return the state of a server on each load balancer."""
    lines: list[list[Segment]] = []
    for group, wide in _groups(detail, width):
        lines += [[]] if lines else []
        lines.append(_titles(detail, name, group, wide))
        lines += [_row(label, cell, name, group, wide) for label, cell in ROWS]
    return lines


def build_checks(detail: Detail, name: Name, width: int) -> list[list[Segment]]:
    """Return the result of the last checks on each load balancer; names are repeated only where needed."""
    lines: list[list[Segment]] = []
    groups = _groups(detail, width)
    agents = any(server.agent_configured for _, server in detail.lines())
    for group, wide in groups:
        if len(groups) > 1 or len(detail.keys) > 1:
            named: list[Segment] = [
                (" " + fit("" if lines else name[0][:MAX_CELL_CHARS], LABEL_CELLS), "quiet")
            ]
            lines.append(
                named
                + [
                    (fit(truncate(instance.name[:MAX_CELL_CHARS], wide - 1), wide), "quiet")
                    for instance in group
                ]
            )
        rows = CHECKS if agents else CHECKS[:-1]
        lines += [_row(label, cell, name, group, wide) for label, cell in rows]
    return lines


def _groups(detail: Detail, width: int) -> list[tuple[Sequence[BalancerView], int]]:
    instances = detail.view.instances
    room = width - 1 - LABEL_CELLS
    across = max(1, min(len(instances), room // NARROWEST))
    # Alike: of four that do not fit, two and two and not three and one.
    rows = max(1, -(-len(instances) // across))
    across = max(1, -(-len(instances) // rows))
    wide = max(1, min(WIDEST, room // across))
    return [(instances[first : first + across], wide) for first in range(0, len(instances), across)]


def _titles(detail: Detail, name: Name, group: Sequence[BalancerView], wide: int) -> list[Segment]:
    line: list[Segment] = [(" " + fit(name[0][:MAX_CELL_CHARS], LABEL_CELLS - 1) + " ", "head")]
    for instance in group:
        words, kind = detail.connection(instance)
        version = instance.info.version.partition("-")[0] if instance.info is not None else ""
        # The state first: a long name must not push it out.
        title = truncate(instance.name[:MAX_CELL_CHARS], max(4, wide - 2 - cell_len(words)))
        line += _fitted([(title, "head"), (" " + words, kind), ("  " + version, "quiet")], wide)
    return line


def _row(
    label: str,
    cell: Callable[[Server, BalancerView], Cell],
    name: Name,
    group: Sequence[BalancerView],
    wide: int,
) -> list[Segment]:
    line: list[Segment] = [(" " + fit(label, LABEL_CELLS), "quiet")]
    for instance in group:
        server = instance.server(name)
        if server is None:
            segments = _absent(label, instance)
        elif instance.state == "live":
            segments = cell(server, instance)
        else:  # stale data have no colors
            segments = [("".join(text for text, _ in cell(server, instance)), "quiet")]
        line += _fitted(segments, wide)
    return line


def _absent(label: str, instance: BalancerView) -> Cell:
    if label != ROWS[0][0]:
        return [(NO_VALUE, "quiet")]
    return [("unknown here" if instance.state == "live" else "no answer yet", "moving")]


def _fitted(segments: Cell, wide: int) -> Cell:
    """Fit segments to exactly this many cells; the last one stays empty."""
    result: Cell = []
    left = wide - 1
    for text, kind in segments:
        if not text or left <= 0:
            continue
        shown = (
            truncate(text[:MAX_CELL_CHARS], left)
            if cell_len(visible(text[:MAX_CELL_CHARS])) > left
            else visible(text)
        )
        result.append((shown, kind))
        left -= cell_len(shown)
    return [*result, (" " * (left + 1), "plain")]
