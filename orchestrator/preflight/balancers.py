"""Findings about the load balancers: errors that prevent a rollout, and warnings about its effects."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from backends.errors import BackendError
from backends.haproxy.columns import Name
from backends.model import HASH_ALGORITHMS, AdminState, Server, ServerRef, Snapshot
from orchestrator.balancers.group import find_unreached_processes
from orchestrator.balancers.saturation import find_saturation
from orchestrator.engine.older_processes import judge_older_processes
from orchestrator.node import Node, OriginalState
from orchestrator.planning.application import Application, Policy
from orchestrator.planning.findings import (
    Facts,
    Finding,
    Severity,
    judge_level,
    judge_persistence,
    judge_slots,
)
from orchestrator.planning.mapping import Mapped

STATIC_ALGORITHMS = ("static-rr", *HASH_ALGORITHMS)


async def judge_balancers(
    application: Application,
    nodes: Sequence[Node],
    mapped: Mapped,
    snapshots: Mapping[str, Snapshot],
    facts: Mapping[str, Facts],
) -> list[Finding]:
    """Judge each load balancer, its processes and its configuration."""
    group, policy = application.balancer_group, application.policy
    findings = [
        finding
        for name, snapshot in snapshots.items()
        for finding in _judge_balancer(snapshot, facts.get(name))
    ]
    findings += (
        Finding(Severity.ERROR, name, problem)
        for name, problem in find_unreached_processes(
            snapshot.info for snapshot in snapshots.values()
        ).items()
    )
    findings += await judge_older_processes(group, snapshots, nodes, policy.drain_timeout)
    ports = {ref: node.port for node in nodes for ref in mapped[node.name]}
    findings += _judge_configuration(facts, group.backends, snapshots, ports, policy)
    return findings


def _judge_balancer(snapshot: Snapshot, facts: Facts | None) -> Iterable[Finding]:
    """Judge level, liveness and algorithm of one load balancer."""
    name = snapshot.info.instance
    known = None if facts is None or isinstance(facts, BackendError) else facts.consistent_hashes
    consistent = known or ()
    yield from judge_level(snapshot)
    for saturation in find_saturation(snapshot):
        text = f"is at its limit: {saturation.text}"
        yield Finding(Severity.WARNING, f"{saturation.backend} on {name}", text)
    if snapshot.info.stopping:
        yield Finding(Severity.ERROR, name, "is stopping: an old worker answers")
    for backend in snapshot.backends:
        where = f"{backend.name} on {name}"
        if backend.algorithm.split("(")[0] in STATIC_ALGORITHMS and backend.name not in consistent:
            yield Finding(
                Severity.WARNING,
                where,
                f"static algorithm ({backend.algorithm}): every drain moves clients between nodes,"
                " and weights can only be 0 % or 100 %",
            )
        if backend.algorithm == "leastconn":
            yield Finding(
                Severity.INFO,
                where,
                "leastconn sends most requests to a server that fails them fast, since it has the"
                " fewest connections:"
                " a version that fails at once gets more than its share until the verdict takes it out",
            )


def judge_servers(servers: Sequence[Server], force_ready: bool) -> Iterable[Finding]:
    """Judge the server lines of one node, which is put in rotation on request or not (`force_ready`)."""
    for server in servers:
        where = str(server.ref)
        original = OriginalState.of(server)
        if original.admin is not AdminState.READY:
            then = (
                "put in rotation at the end"
                if force_ready
                else "left out (--force-ready NODE puts it in rotation)"
            )
            yield Finding(Severity.INFO, where, f"is in {original.admin} now, and is {then}")
        elif server.admin_state is not AdminState.READY:
            text = f"is out by HAProxy's own decision: {server.status}"
            yield Finding(Severity.WARNING, where, text)
        elif server.weight == 0:
            yield Finding(Severity.INFO, where, "has weight 0 now, and keeps it")
        elif not server.in_rotation:
            ramp = f", slow start at {server.throttle} %" if server.throttle is not None else ""
            text = f"is not in rotation with full health: {server.status} {server.check_status}"
            yield Finding(Severity.WARNING, where, text.rstrip() + ramp)
        if not server.has_checks and not server.track_target:
            text = "has no health checks: only its own health decides when it may return"
            yield Finding(Severity.WARNING, where, text)
        if server.agent:
            text = "has an agent check: switched off while its node is worked on"
            yield Finding(Severity.INFO, where, text)


def _judge_configuration(
    facts: Mapping[str, Facts],
    backends: Collection[str],
    snapshots: Mapping[str, Snapshot],
    ports: Mapping[ServerRef, int],
    policy: Policy,
) -> list[Finding]:
    """Judge what only HAProxy's configuration file says.

    Args:
        facts: the facts of each load balancer.
        backends: the backends of the application.
        snapshots: the snapshots of now.
        ports: the ports of the nodes to be worked on, by server.
        policy: the policy of the rollout.
    """
    findings: list[Finding] = []
    for name, fact in facts.items():
        findings += _judge_facts(name, fact, backends)
        if name in snapshots:
            findings += judge_persistence(snapshots[name], fact, policy)
            findings += judge_slots(snapshots[name], fact, ports, policy)
            findings += _judge_ports(snapshots[name], fact, ports)
    return findings


def _judge_facts(name: str, facts: Facts, backends: Iterable[str]) -> Iterator[Finding]:
    if isinstance(facts, BackendError):
        text = f"its configuration could not be read: {facts.problem}"
        yield Finding(Severity.WARNING, name, text)
        return
    if facts.state_file is False:
        text = "no state file: a reload of HAProxy puts every node back to ready, weight included"
        yield Finding(Severity.WARNING, name, text)
    for backend in sorted(set(backends) & (facts.shutdown_on_marked_down or frozenset())):
        text = (
            "on-marked-down shutdown-sessions: maintenance cuts what is still running"
            " when the drain deadline passes"
        )
        yield Finding(Severity.WARNING, f"{backend} on {name}", text)
    if facts.unseen:
        text = f"state file, on-marked-down and persistence without a cookie are unknown: {facts.unseen}"
        yield Finding(Severity.INFO, name, text)


def _judge_ports(snapshot: Snapshot, facts: Facts, ports: Mapping[ServerRef, int]) -> Iterator[Finding]:
    """Refuse a port that HAProxy adds to the client's where it was taken for the port of a node."""
    relative = frozenset[Name]() if isinstance(facts, BackendError) else facts.relative_ports or ()
    if not relative:
        return
    for server in snapshot.servers:
        ref = server.ref
        if (ref.backend, ref.server) in relative and server.port and ports.get(ref) == server.port:
            text = (
                f"HAProxy adds {server.port} to the port of each client: that is not the application's port;"
                " set `port` of the node, or of the application"
            )
            yield Finding(Severity.ERROR, str(ref), text)
