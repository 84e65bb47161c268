"""Preflight, which reads the state of everything before anything is changed, and computes the plan."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from backends.errors import BackendError
from backends.model import AdminState, Server, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.admin_state import inherits_only
from orchestrator.engine.step_context import DryRunContext
from orchestrator.node import Node, OriginalState
from orchestrator.planning.application import Application
from orchestrator.planning.capacity import Floors
from orchestrator.planning.findings import (
    Facts,
    Finding,
    Severity,
    find_persistent_backends,
    read_facts,
)
from orchestrator.planning.mapping import Mapped, map_nodes, select_nodes
from orchestrator.planning.plan import (
    Plan,
    PlannedNode,
    Unfinished,
    choose_steps,
)
from orchestrator.planning.removal import (
    SharedEndpoints,
    find_all_backups,
    find_several_backups,
    judge_followers,
    judge_shared_endpoints,
    read_shared_endpoints,
)
from orchestrator.planning.server_pool import drop_empty_slots
from orchestrator.planning.verdict_outlook import forecast_verdict
from orchestrator.preflight.balancers import judge_balancers, judge_servers
from orchestrator.preflight.batches import plan_batches
from orchestrator.preflight.drains import find_young_processes
from orchestrator.preflight.dry_run import list_commands, list_prefetch_commands
from orchestrator.preflight.nodes import (
    Observation,
    check_availability,
    check_ways_back,
    judge_availability,
    judge_own_health,
    judge_stop,
    observe_nodes,
)
from orchestrator.preflight.ramp import RampPlanner


async def preflight(
    application: Application,
    version: str | None,
    *,
    limit: Sequence[str] = (),
    force_ready: Collection[str] = (),
    unfinished: Mapping[str, Unfinished] | None = None,
    target_versions: Mapping[str, str] | None = None,
    known_findings: Sequence[Finding] = (),
    is_repair: bool = False,
) -> Plan:
    """Read everything and compute the plan; nothing is changed.

    Args:
        application: the application to upgrade.
        version: the version to install; None to plan as if every node had to be upgraded.
        limit: node names or patterns such as "web[12]"; all nodes when empty.
        force_ready: nodes to put in rotation at the end although a human has them out now.
        unfinished: nodes that an earlier rollout did not finish, with what they were before it.
        target_versions: the versions of nodes that are to have another one than `version`.
        known_findings: findings that were made before, such as a freeze.
        is_repair: whether it is a repair, such as a rollback, which unhealthy nodes do not forbid.

    Returns:
        The plan; when `plan.errors` is not empty it must not be run.
    """
    nodes, findings = select_nodes(application.nodes, limit, force_ready)
    snapshots, unreadable = await _read_snapshots(application)
    findings += [*known_findings, *unreadable, *_judge_health_check(application)]
    mapped, mapping_findings = map_nodes(nodes, snapshots, application.match, among=application.nodes)
    findings += mapping_findings
    servers = {server.ref: server for snapshot in snapshots.values() for server in snapshot.servers}
    facts = await read_facts(application.balancer_group.balancers)
    findings += await judge_balancers(application, nodes, mapped, snapshots, facts)
    shared = await read_shared_endpoints(application.balancer_group.balancers[name] for name in snapshots)
    findings += [
        *shared.findings,
        *judge_shared_endpoints(shared, mapped, application.ignored_backends),
    ]
    floors = _measure_floors(application, snapshots, shared, mapped, facts)
    ramps = RampPlanner(application.policy, snapshots, facts)

    persistent = find_persistent_backends(snapshots, facts)
    planned: list[PlannedNode] = []
    serving: list[Observation] = []
    measured: list[Node] = []
    for observation in await observe_nodes(nodes):
        own = [servers[ref] for ref in mapped[observation.node.name]]
        findings += observation.findings
        name = observation.node.name
        ready, before = name in force_ready, (unfinished or {}).get(name)
        own_version = (target_versions or {}).get(name, version)
        node = _plan_node(
            application, observation, own, own_version, version, force_ready=ready, unfinished=before
        )
        if node.unproven and not all(found.allowed for found in floors.without(node.refs)):
            why = (
                f"has {own_version} and gets traffic, but was never verified:"
                " only verify, because of the floor"
            )
            node = replace(node, steps=("verify",), reason=why)
        node = ramps.plan(node, own)
        if version is not None:
            commands = list_commands(
                DryRunContext(
                    observation.node,
                    node,
                    own,
                    own_version or version,
                    application.policy,
                    observation.registered,
                )
            )
            node = replace(node, commands=commands)
        if node.steps:
            node = replace(node, followers=shared.followers(node.refs))
            findings += judge_followers(name, node.refs if "drain" in node.steps else (), shared)
        node = replace(
            node,
            sessions=sum(server.open_sessions for server in own),
            persistent=any((ref.instance, ref.backend) in persistent for ref in node.refs),
        )
        planned.append(node)
        findings += _judge_node(node, own, before, ready)
        is_measured = all(finding.severity is not Severity.ERROR for finding in observation.findings)
        serves = any(server.in_rotation for server in own) and not node.unproven
        if is_measured:
            measured.append(observation.node)
        if is_measured and "verify" in node.steps and serves:
            serving.append(observation)
        findings += judge_stop(node, observation)

    if version is not None:
        available = await check_availability(measured, planned, version)
        planned = [replace(row, availability=available.get(row.name)) for row in planned]
        findings += judge_availability(available, planned, version)
        if application.policy.two_way == "check" and not is_repair:
            findings += await check_ways_back(measured, planned)

    findings += judge_own_health(serving, is_repair=is_repair)
    batches = await plan_batches(
        planned, application.policy, application.balancer_group, floors, shared, is_repair=is_repair
    )
    findings += batches.findings
    findings += ramps.findings(application.name, batches)
    todo = {name for names in batches.names for name in names}
    return Plan(
        application=application.name,
        version=version or "",
        policy=application.policy,
        nodes=tuple(planned),
        batches=batches.names,
        capacities=batches.capacities,
        loads=batches.loads,
        prefetch=list_prefetch_commands(
            [(node, (target_versions or {}).get(node.name, version)) for node in nodes if node.name in todo]
        ),
        findings=tuple(findings),
        drain_basis=find_young_processes(snapshots, application.policy),
        nodes_at_plan_time=application.nodes,
        all_backups=floors.all_backups,
        verdict=forecast_verdict(
            application.canary,
            snapshots,
            {node.name: node.refs for node in planned},
            batches.names[0] if batches.names else (),
            sticky=any(node.persistent for node in planned),
            calibrated_m=application.calibrated_m,
        ),
    )


def _judge_health_check(application: Application) -> Iterator[Finding]:
    """Warn where no health check is configured: a wrong version that opens its port is taken for good."""
    if application.has_health_check:
        return
    checks = (
        " and HAProxy's own checks pass, if there are any"
        if application.policy.require_haproxy_checks
        else ""
    )
    text = f"no health check is configured: a version counts as healthy as soon as its port is open{checks}"
    yield Finding(Severity.WARNING, application.name, f"{text} (see [apps.{application.name}.health])")


def _judge_node(
    node: PlannedNode, servers: Sequence[Server], unfinished: Unfinished | None, ready: bool
) -> Iterator[Finding]:
    """Yield how an earlier rollout left a node, or what is special about its server lines."""
    if unfinished is not None and not ready and any(not server.in_rotation for server in servers):
        text = f"{unfinished.text}; this rollout finishes it and puts it back as before"
        yield Finding(Severity.WARNING, node.name, text)
        return
    yield from judge_servers(servers, ready)
    if unfinished is not None and node.unproven:
        text = f"{unfinished.text}; it gets traffic and was never verified: it comes first"
        yield Finding(Severity.WARNING, node.name, text)


def _measure_floors(
    application: Application,
    snapshots: Mapping[str, Snapshot],
    shared: SharedEndpoints,
    mapped: Mapped,
    facts: Mapping[str, Facts],
) -> Floors:
    refs = {ref for own in mapped.values() for ref in own}
    known = drop_empty_slots(
        {**snapshots, **shared.snapshots}, refs, nodes=application.nodes, match=application.match
    )
    refs.update(shared.followers(refs))
    all_backups = find_all_backups(facts, find_several_backups(known, refs))
    return Floors(known, application.policy, application.ignored_backends, all_backups)


async def _read_snapshots(application: Application) -> tuple[dict[str, Snapshot], list[Finding]]:
    async def read(balancer: LoadBalancer) -> Snapshot | Finding:
        try:
            return await balancer.snapshot(application.balancer_group.backends)
        except BackendError as error:
            return Finding(Severity.ERROR, balancer.name, f"cannot be read: {error.problem}")

    balancers = application.balancer_group.balancers
    found = await asyncio.gather(*(read(balancer) for balancer in balancers.values()))
    results = dict(zip(balancers, found, strict=True))
    return (
        {name: result for name, result in results.items() if isinstance(result, Snapshot)},
        [result for result in results.values() if isinstance(result, Finding)],
    )


def _plan_node(
    application: Application,
    observation: Observation,
    servers: Sequence[Server],
    version: str | None,
    plan_version: str | None,
    *,
    force_ready: bool,
    unfinished: Unfinished | None,
) -> PlannedNode:
    original = OriginalState.as_ready if force_ready else OriginalState.of
    originals = {server.ref: original(server) for server in servers}
    if unfinished is not None and not force_ready:
        originals |= {ref: original for ref, original in unfinished.originals.items() if ref in originals}
    servers_originally = [server for server in servers if originals[server.ref].admin is AdminState.READY]
    in_discovery_maintenance = observation.registered is not None and observation.registered.set_by_rollout
    unproven = (
        unfinished is not None
        and unfinished.target_version == version
        and any(server.admin_state is AdminState.READY for server in servers)
    )
    steps, why = choose_steps(
        version or "",
        observation.installed,
        observation.running,
        reported=observation.node.reported_version(version or ""),
        in_rotation=bool(servers_originally)
        and all(_is_as_before(server, originals[server.ref]) for server in servers_originally)
        and not in_discovery_maintenance,
        stays_out=not servers_originally and not in_discovery_maintenance,
        unproven=unproven,
    )
    installed, running = observation.installed, observation.running
    if installed is not None and running == observation.node.reported_version(installed):
        running = installed  # called as installers call it: a rollback may have to install it
    return PlannedNode(
        name=observation.node.name,
        refs=tuple(originals),
        originals=originals,
        installed=installed,
        running=running,
        steps=steps,
        reason=why,
        force_ready=force_ready,
        unfinished_rollout=unfinished.entry if unfinished is not None and not force_ready else 0,
        only_drained=unfinished is not None and unfinished.only_drained and not force_ready,
        running_command=unfinished.command if unfinished is not None else None,
        target_version=version if version is not None and version != plan_version else "",
        unproven=unproven and "stop" not in steps,
        inherited=tuple(server.ref for server in servers if inherits_only(server)),
    )


def _is_as_before(server: Server, original: OriginalState) -> bool:
    return server.in_rotation and server.weight == original.weight and (server.agent or not original.agent)
