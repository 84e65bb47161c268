"""The state of an application for `rolldeck status` and the manual changes, as text and as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from backends.model import Server, Snapshot
from backends.name_ranges import fold_names, fold_set
from backends.text import counted
from console.terminal.output import clean, paint
from console.terminal.verdict import verdict_text
from orchestrator.balancers.request_errors import Sample, Signals, compute_all_signals
from orchestrator.balancers.saturation import Saturation
from orchestrator.events.text import describe_mixed_versions
from orchestrator.events.ways_back import WAY_ON_LABELS, describe_others, format_since
from orchestrator.journal.entry_status import RolloutStatus, at_work
from orchestrator.live.versions import NodeVersion
from orchestrator.session.kept_out import KeptOut
from orchestrator.session.status import ApplicationStatus


def status_lines(app: str, status: ApplicationStatus) -> Iterator[str]:
    """Yield the lines below the table of servers."""
    yield from _version_lines(status.versions)
    for rollout in status.rollouts:
        yield from (
            _running_lines(app, rollout) if rollout.standing == "running" else _unfinished_lines(app, rollout)
        )
    if status.holder is not None:
        yield f"{paint('◐', 'working')} the lock is held by {clean(str(status.holder))}"
    yield from _kept_out_lines(kept for kept in status.kept_out if kept.by != "rollout")


def _version_lines(versions: Sequence[NodeVersion]) -> Iterator[str]:
    if not versions:
        return
    version_by_node = {version.node: version.version for version in versions}
    sources = [
        _source_text(versions, "journal", "as the journal has it"),
        _source_text(versions, "disk", "on disk"),
    ]
    source = f" ({'; '.join(filter(None, sources))})" if any(sources) else ""
    if mixed := describe_mixed_versions(version_by_node):
        yield f"{paint('mixed versions', 'warn')}: {clean(mixed)}{clean(source)}"
    else:
        count = counted(len(version_by_node), "node")
        yield f"version {clean(versions[0].version)} on {count}{clean(source)}"
    differing: dict[str, list[str]] = {}
    for version in versions:
        if version.differs:
            known = "runs" if version.source == "health" else "by the journal"
            text = f"{version.version} {known}, {version.on_disk} on disk"
            differing.setdefault(text, []).append(version.node)
    for text, nodes in differing.items():
        yield f"{paint('!', 'warn')} {clean(fold_names(nodes))}: {clean(text)}"


def _source_text(versions: Sequence[NodeVersion], source: str, text: str) -> str:
    """Return which versions do not come from the application itself; without names if that is all of them."""
    nodes = [version.node for version in versions if version.source == source]
    return f"{fold_names(nodes)} {text}" if 0 < len(nodes) < len(versions) else text if nodes else ""


def _rollout_title(rollout: RolloutStatus) -> str:
    number = f" {rollout.entry}" if rollout.entry else ""
    return f"{rollout.kind}{number} to {rollout.version}"


def _operator_text(rollout: RolloutStatus) -> str:
    origin = f"; {rollout.origin}" if rollout.origin else ""
    reason = f"; reason: {rollout.reason}" if rollout.reason else ""
    where = f"process {rollout.pid} on {rollout.host}{origin}"
    return f"{rollout.operator} ({where}){format_since(rollout.since)}{reason}"


def _running_lines(app: str, rollout: RolloutStatus) -> Iterator[str]:
    phase = "" if rollout.phase == "progressing" else f", {rollout.phase_text}"
    text = f"{_rollout_title(rollout)} runs{phase}: {_operator_text(rollout)}"
    yield f"{paint('◐', 'working')} {clean(text)}"
    yield f"  {rollout.done}/{counted(rollout.total, 'node')} done"
    yield from _verdict_lines(rollout)
    for node in at_work(rollout):
        reason = f": {node.reason}" if node.reason else ""
        yield f"  at {clean(f'{node.node}: {node.state}{reason}')}"
    for question in rollout.questions:
        text = f"{question.subject}: {question.text} ({', '.join(question.choices)})"
        yield f"  {paint('?', 'warn')} {clean(text)}"
    if rollout.source == "consul":
        yield f"  to follow it: rolldeck follow {app}"


def _unfinished_lines(app: str, rollout: RolloutStatus) -> Iterator[str]:
    yield f"{paint('!', 'warn')} {clean(f'{_rollout_title(rollout)} was not finished: {rollout.why}')}"
    yield f"  by {clean(_operator_text(rollout))}"
    states: dict[str, list[str]] = {}
    for node in rollout.nodes:
        states.setdefault(node.state, []).append(node.node)
    rest = "; ".join(f"{state}: {fold_names(names)}" for state, names in states.items())
    yield f"  {rollout.done}/{counted(rollout.total, 'node')} done{f'; {clean(rest)}' if rest else ''}"
    yield from _verdict_lines(rollout)
    for way in rollout.ways_on:
        yield f"  {WAY_ON_LABELS[way.purpose]:<14}{clean(way.command)}"


def _verdict_lines(rollout: RolloutStatus) -> Iterator[str]:
    if rollout.verdict is not None:
        yield f"  {verdict_text(rollout.verdict)}"


def _kept_out_lines(found: Iterable[KeptOut]) -> Iterator[str]:
    servers: dict[tuple[str, str, str], list[str]] = {}
    for kept in found:
        key = kept.backend, _describe_removal(kept), ", ".join(kept.where)
        servers.setdefault(key, []).append(kept.server)
    for (backend, by, where), names in servers.items():
        are = "is" if len(names) == 1 else "are"
        yield f"  {clean(f'{fold_set(names)} ({backend}) {are} kept out {by}')}: {clean(where)}"


def _describe_removal(kept: KeptOut) -> str:
    """Return who has taken a server out, and since when."""
    return {
        "hand": f"by {kept.who}, manually{format_since(kept.since)}",
        "others": f"by {describe_others(by_agent=kept.by_agent)}{format_since(kept.since)}, untouched",
        "haproxy": f"by HAProxy: {kept.words}",
    }[kept.by]


def status_fields(app: str, status: ApplicationStatus) -> Iterator[dict[str, object]]:
    """Yield the JSON objects of an application, one for each line."""
    head: dict[str, object] = {"application": app}
    for rollout in status.rollouts:
        fields = {name: getattr(rollout, name) for name in _ROLLOUT}
        yield head | {"kind": "rollout", "what": rollout.kind} | msgspec.to_builtins(fields)
    if status.holder is not None:
        yield head | {"kind": "lock", **msgspec.to_builtins(status.holder)}
    for version in status.versions:
        yield head | {"kind": "node"} | msgspec.to_builtins(version)
    for left in status.left:
        yield head | {
            "kind": "left",
            "node": left.node,
            "rollout": left.entry.id,
            "operator": left.entry.operator,
            "began": left.entry.began,
            "version": left.target_version,
            "step": left.step,
            "failed": left.failed,
            "commands": [f"rolldeck resume {app}"],
        }
    for kept in status.kept_out:
        yield head | {"kind": "kept_out"} | msgspec.to_builtins(kept)
    for problem in status.problems:
        yield head | {"kind": "problem", "text": problem}


_ROLLOUT = (
    *("standing", "why", "entry", "version", "operator", "host", "pid", "since", "origin"),
    *("phase", "phase_by", "phase_reason"),
    *("done", "total", "nodes", "questions", "touched", "ways_on", "verdict", "source", "reason"),
)


def server_fields(app: str, server: Server) -> dict[str, object]:
    """Return the fields of a server's JSON object."""
    return {
        "kind": "server",
        "application": app,
        "load_balancer": server.ref.instance,
        "backend": server.ref.backend,
        "server": server.ref.server,
        "address": server.address,
        "port": server.port,
        "admin": server.admin_state.value,
        "operational": server.operational.name.lower(),
        "status": server.status,
        "check": server.check_status,
        "in_rotation": server.in_rotation,
        "weight": server.weight,
        "effective_weight": server.effective_weight,
        "sessions": server.sessions,
        "queue": server.queue,
        "session_limit": server.load.session_limit,
        "sessions_max": server.load.sessions_max,
        "rate": server.load.rate,
        "rate_max": server.load.rate_max,
        "last_change": server.last_change,
    }


def request_signals(snapshot: Snapshot) -> dict[tuple[str, str], Signals]:
    """Return the requests and errors of each server since HAProxy started to count, by backend and server."""
    rows = {backend.name: backend.counters for backend in snapshot.backends}
    return {
        (server.ref.backend, server.ref.server): compute_all_signals(
            Sample(server.counters, rows.get(server.ref.backend))
        )
        for server in snapshot.servers
    }


def unattributed(snapshot: Snapshot) -> dict[str, int | None]:
    """Return, for each backend, the 5xx responses since HAProxy started to count that no server explains.

    The value is None in TCP mode, where errors are unknown.
    """
    attributed = Counter[str]()
    for (backend, _), found in request_signals(snapshot).items():
        attributed[backend] += found.with_5xx
    return {
        backend.name: max(0, rows.answered_5xx - attributed[backend.name]) if rows.http else None
        for backend in snapshot.backends
        for rows in (backend.counters,)
    }


def unattributed_text(found: Mapping[str, Mapping[str, int | None]]) -> str:
    """Return a text such as `5 errors not attributable to a server (shop on lb1: 5)`; empty for none.

    Args:
        found: by load balancer, see `unattributed`.
    """
    places = {
        f"{backend} on {instance}": count
        for instance, backends in found.items()
        for backend, count in backends.items()
        if count
    }
    if not places:
        return ""
    listed = ", ".join(f"{place}: {count:,}" for place, count in places.items())
    return f"{counted(sum(places.values()), 'error')} not attributable to a server ({listed})"


def saturation_lines(found: Iterable[Saturation]) -> Iterator[str]:
    """Yield a line for each backend that is at its limit."""
    for saturation in found:
        text = f"{saturation.backend} on {saturation.instance} is at its limit: {saturation.text}"
        yield f"{paint('!', 'warn')} {clean(text)}"


def saturation_fields(app: str, saturation: Saturation) -> dict[str, object]:
    """Return the fields of the JSON object of a backend that is at its limit."""
    return {
        "kind": "saturation",
        "application": app,
        "load_balancer": saturation.instance,
        "backend": saturation.backend,
        "queue": saturation.queue,
        "servers": [
            {"server": name, "sessions": sessions, "session_limit": limit}
            for name, sessions, limit in saturation.servers
        ],
    }


def request_fields(signals: Signals) -> dict[str, object]:
    """Return the JSON fields of requests; `errors` is null in TCP mode, where they are unknown."""
    return {"requests": signals.started, "errors": signals.hard, "refused": signals.refused}


def error_share(signals: Sequence[Signals]) -> str:
    """Return the percentage of requests that ended in an error for the client; ? when it is unknown."""
    known = [signal for signal in signals if signal.hard is not None]
    if not known:
        return "?" if signals else "-"
    requests, errors = sum(signal.started for signal in known), sum(signal.known for signal in known)
    return f"{100 * errors / requests:.1f}" if requests else "-"
