"""`rolldeck status`: every server on every load balancer, and what is not in rotation."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import click

from backends.consul.client import Consul
from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.paths import journal_path
from console.terminal.output import clean, paint, result, result_json, say, table
from console.terminal.response_times import (
    MEASURED_S,
    find_response_times,
    has_traffic,
    response_fields,
    response_text,
)
from console.terminal.status import (
    error_share,
    request_fields,
    request_signals,
    saturation_fields,
    saturation_lines,
    server_fields,
    status_fields,
    status_lines,
    unattributed,
    unattributed_text,
)
from orchestrator.adapters import AdapterFactory
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.balancers.saturation import find_saturation
from orchestrator.errors import JournalError
from orchestrator.events.text import format_health
from orchestrator.live.versions import DiskVersions
from orchestrator.session.status import ApplicationStatus, StatusReader


@click.command()
@click.argument("app", required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object for each server and load balancer."
)
@click.pass_obj
def status(config_file: str | None, app: str | None, as_json: bool) -> int:
    """Show every server on every load balancer, versions, and running or unfinished rollouts.

    Exits 0 if all servers are in rotation and no rollout was left unfinished.
    """
    config = find_and_load(config_file)
    names = [app] if app else list(config.apps)
    return interrupts.run(_status(config, names, as_json))


async def _status(config: Config, names: Sequence[str], as_json: bool) -> int:
    worst, say_once, disks = ExitCode.HEALTHY, OncePrinter(), DiskVersions()
    consul = Consul(config.consul) if config.consul is not None else None
    try:
        for name in names:
            adapters = AdapterFactory(config.ssh, lambda _: None, config.file)
            try:
                balancers = adapters.balancers(await config.find_haproxy(name, consul))
                journal = journal_path(config.journal.path)
                reader = StatusReader(config, name, journal, consul, adapters, balancers, disks)
                answers, times = await _read_twice(reader, MEASURED_S / len(names))
                # Before empty slots are left out: a server that is gone explains some errors.
                unattributed_errors = _find_unattributed(answers)
                answers = await reader.without_empty_slots(answers)
                if as_json:
                    healthy = _print_servers(name, answers, times)
                else:
                    healthy = _show_servers(name, answers, say_once, times)
                _show_unattributed(name, unattributed_errors, as_json=as_json)
                _show_saturation(name, answers, as_json=as_json)
                healthy &= await _show_rollouts(
                    name, partial(reader.read, answers), say_once, as_json=as_json
                )
            finally:
                await adapters.close()
            worst = worst if healthy else ExitCode.DEGRADED
        return worst
    finally:
        if consul is not None:
            await consul.close()


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


async def _read_twice(reader: StatusReader, wait_s: float) -> tuple[Answers, Times]:
    """Read the load balancers, and again after `wait_s` seconds if there is traffic; return the latest."""
    before = after = await reader.read_balancers()
    if has_traffic(_snapshots(before)):
        await asyncio.sleep(wait_s)
        after = await reader.read_balancers()
    return after, find_response_times(_snapshots(before), _snapshots(after))


def _snapshots(answers: Answers) -> list[Snapshot]:
    return [answer for answer in answers.values() if isinstance(answer, Snapshot)]


async def _show_rollouts(
    app: str,
    read: Callable[[], Awaitable[ApplicationStatus]],
    say_once: Callable[[str], None],
    *,
    as_json: bool,
) -> bool:
    """Show rollouts, versions and who keeps a node out. Return whether nothing was left unfinished."""
    try:
        status = await read()
    except JournalError as error:
        say_once(f"{paint('!', 'warn')} {clean(str(error))}")
        return True
    if as_json:
        for fields in status_fields(app, status):
            result_json(fields)
    else:
        for line in status_lines(app, status):
            result(line)
    for problem in status.problems:
        say_once(f"{paint('!', 'warn')} {clean(problem)}")
    # Beside JSON, too: what an earlier rollout has left is for people.
    for left in status.left:
        say_once(f"{paint('!', 'warn')} {clean(left.node)} was {clean(left.text)}")
    if status.left:
        say_once(f"  to finish it: rolldeck resume {app}")
    return not status.unfinished


def _show_servers(
    app: str, answers: Answers, say_once: Callable[[str], None] = say, times: Times = _NO_TIMES
) -> bool:
    heads = []
    for name, answer in answers.items():
        if isinstance(answer, Snapshot):
            heads.append(paint(f"{name} ●", "ok") + f" {clean(answer.info.version)}")
        else:
            heads.append(paint(f"{name} ✗", "bad"))
    result(f"{app}   " + "   ".join(heads))
    snapshots = _snapshots(answers)
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


def _find_unattributed(answers: Answers) -> dict[str, dict[str, int | None]]:
    """Return the errors that no server explains, by load balancer and backend."""
    return {name: unattributed(answer) for name, answer in answers.items() if isinstance(answer, Snapshot)}


def _show_unattributed(app: str, found: Mapping[str, Mapping[str, int | None]], *, as_json: bool) -> None:
    if not as_json:
        if text := unattributed_text(found):
            result(clean(text))
        return
    head = {"kind": "backend", "application": app}
    for instance, backends in found.items():
        for backend, count in backends.items():
            result_json(head | {"load_balancer": instance, "backend": backend, "unattributed": count})


def _show_saturation(app: str, answers: Answers, *, as_json: bool) -> None:
    found = [saturation for snapshot in _snapshots(answers) for saturation in find_saturation(snapshot)]
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


def _print_servers(app: str, answers: Answers, times: Times = _NO_TIMES) -> bool:
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
