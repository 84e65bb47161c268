"""The servers of one application on every load balancer, for `rolldeck status`: a table, or JSON."""

from collections.abc import Callable, Mapping, Sequence

from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from console.terminal.output import clean, paint, result, result_json, say, table
from console.terminal.response_times import response_fields, response_text
from console.terminal.status import (
    error_share,
    request_fields,
    request_signals,
    saturation_fields,
    saturation_lines,
    server_fields,
    unattributed,
    unattributed_text,
)
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.balancers.saturation import find_saturation
from orchestrator.events.text import format_health


class OncePrinter:
    """Prints a line to standard error only the first time: 40 applications may share one broken socket."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            say(line)


Answers = Mapping[str, Snapshot | BackendError]


Times = Mapping[ServerRef, ResponseTime]
_NO_TIMES: Times = {}


def snapshots_of(answers: Answers) -> list[Snapshot]:
    """Return what the load balancers that answered have."""
    return [answer for answer in answers.values() if isinstance(answer, Snapshot)]


def show_servers(
    app: str, answers: Answers, say_once: Callable[[str], None] = say, times: Times = _NO_TIMES
) -> bool:
    """Print the table, and return whether all of it is known and in rotation.

    Args:
        app: the application.
        answers: of its load balancers.
        say_once: prints why a load balancer did not answer.
        times: response times, as far as they are known.
    """
    heads = []
    for name, answer in answers.items():
        if isinstance(answer, Snapshot):
            heads.append(paint(f"{name} ●", "ok") + f" {clean(answer.info.version)}")
        else:
            heads.append(paint(f"{name} ✗", "bad"))
    result(f"{app}   " + "   ".join(heads))
    snapshots = snapshots_of(answers)
    groups: dict[tuple[str, str], list[Server]] = {}
    for snapshot in snapshots:
        for server in snapshot.servers:
            groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    header = ("NODE", "BACKEND", "ADMIN", "HEALTH", "WEIGHT", "SESS", "Q", "ERR%", "RT", "LB")
    live = len(snapshots)
    requests = [request_signals(snapshot) for snapshot in snapshots]
    shares = {key: error_share([signals[key] for signals in requests if key in signals]) for key in groups}
    rows = [
        _row(name, backend, own, answers, (shares[backend, name], response_text(own, times)))
        for (backend, name), own in groups.items()
    ]
    lines = table(header, rows, right=("WEIGHT", "SESS", "Q", "ERR%", "RT"))
    result(lines[0])
    for line, own in zip(lines[1:], groups.values(), strict=True):
        kind = _row_kind(own, live)
        result(paint(line, kind) if kind != "ok" else line)
    healthy = True
    for answer in answers.values():
        if isinstance(answer, BackendError):
            healthy = False
            say_once(f"{paint('✗', 'bad')} {clean(str(answer))}")
    out = [f"{name} ({backend})" for (backend, name), own in groups.items() if _is_out(own, live)]
    result(
        f"{len(groups) - len(out)} of {len(groups)} in rotation"
        + (f"; not: {', '.join(map(clean, out))}" if out else "")
    )
    return healthy and not out


def find_unattributed(answers: Answers) -> dict[str, dict[str, int | None]]:
    """Return the errors that no server explains, by load balancer and backend."""
    return {name: unattributed(answer) for name, answer in answers.items() if isinstance(answer, Snapshot)}


def show_unattributed(app: str, found: Mapping[str, Mapping[str, int | None]], *, as_json: bool) -> None:
    """Print the errors that no server explains."""
    if not as_json:
        if text := unattributed_text(found):
            result(clean(text))
        return
    head = {"kind": "backend", "application": app}
    for instance, backends in found.items():
        for backend, count in backends.items():
            result_json(head | {"load_balancer": instance, "backend": backend, "unattributed": count})


def show_saturation(app: str, answers: Answers, *, as_json: bool) -> None:
    """Print the backends that are at their limit."""
    found = [saturation for snapshot in snapshots_of(answers) for saturation in find_saturation(snapshot)]
    if as_json:
        for saturation in found:
            result_json(saturation_fields(app, saturation))
        return
    for line in saturation_lines(found):
        result(line)


def _is_out(servers: Sequence[Server], live: int) -> bool:
    """Return whether it is out of rotation on a load balancer, or unknown to one of the `live` ones."""
    return len(servers) < live or not all(server.in_rotation for server in servers)


def _row_kind(servers: Sequence[Server], live: int) -> str:
    if not _is_out(servers, live):
        return "ok"
    if any(server.admin_state is not AdminState.READY for server in servers):
        return "out"
    return "bad" if not any(server.in_rotation for server in servers) else "warn"


def _row(
    name: str, backend: str, servers: Sequence[Server], answers: Answers, figures: tuple[str, str]
) -> tuple[str, ...]:
    admins = {server.admin_state for server in servers}
    healths = {format_health(server) for server in servers}
    marks = {server.ref.instance: "✓" if server.in_rotation else "✗" for server in servers}
    line = "".join(marks.get(instance, "?") for instance in answers)
    if len(admins) > 1 or len(healths) > 1:
        line += " " + ", ".join(
            f"{server.ref.instance}: {server.admin_state} {format_health(server)}" for server in servers
        )
    return (
        name,
        backend,
        "/".join(sorted(admins)),
        "/".join(sorted(healths)),
        "/".join(sorted({str(server.weight) for server in servers})),
        str(sum(server.sessions for server in servers)),
        str(sum(server.queue for server in servers)),
        *figures,
        line,
    )


def print_servers(app: str, answers: Answers, times: Times = _NO_TIMES) -> bool:
    """Print JSON, and return whether all servers are known and in rotation; see `show_servers`."""
    healthy = True
    for name, answer in answers.items():
        head = {"application": app, "load_balancer": name}
        if isinstance(answer, BackendError):
            healthy = False
            result_json(head | {"kind": "load_balancer", "reachable": False, "error": str(answer)})
            continue
        info = answer.info
        result_json(
            head
            | {
                "kind": "load_balancer",
                "reachable": True,
                "version": info.version,
                "pid": info.pid,
                "uptime": info.uptime,
                "level": answer.level.name.lower(),
            }
        )
        requests = request_signals(answer)
        for server in answer.servers:
            healthy = healthy and server.in_rotation
            own = request_fields(requests[server.ref.backend, server.ref.server])
            response = response_fields(times.get(server.ref))
            result_json(server_fields(app, server) | own | response)
    return healthy
