"""The nodes that are not in rotation at the end of a rollout, and the commands that put them back."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence

from backends.errors import BackendError
from backends.haproxy import commands
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.admin_state import (
    find_followers,
    find_maintenance_reasons,
    inherits_only,
    track_targets_of,
)
from orchestrator.engine.desired_state import RESTORE
from orchestrator.engine.out_of_rotation import add_followers
from orchestrator.engine.steps.verify import can_be_proven
from orchestrator.events.ways_back import BackCommand, CommandKind, OutOfRotation, make_ready_command
from orchestrator.node import OriginalState
from orchestrator.planning.application import Application
from orchestrator.planning.mapping import map_servers
from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.planning.ramp import is_lowered
from orchestrator.planning.server_pool import ServerPool

Originals = Mapping[ServerRef, OriginalState]
AGENT_READS, AGENT_PAUSE_S = 10, 0.05  # seconds between two of them


async def read_final_state(
    application: Application,
    plan: Plan,
    originals: Mapping[str, Originals],
    unfinished: Collection[str] = (),
    *,
    now: float | None = None,
    pool: ServerPool | None = None,
    versions: Mapping[str, str] | None = None,
) -> tuple[list[OutOfRotation], list[str]]:
    """Read every load balancer once more, each by itself, so that a dead one hides nothing else.

    Args:
        application: has the load balancers.
        plan: has the nodes.
        originals: the original states of the nodes that have begun.
        unfinished: nodes that were touched and are not done: they are named even where nothing can be read.
        now: seconds since 1970. With it, any other node that is out counts as taken out by somebody else.
        pool: with it, other servers that fell out of rotation by themselves are named too.
        versions: the versions of all nodes, as far as they are known.

    Returns:
        The nodes that are not back as they were, and what could not be read, with the reason.
    """
    balancers = application.balancer_group.balancers
    results = await asyncio.gather(
        *(_read_snapshot(balancer, application) for balancer in balancers.values())
    )
    snapshots = [result for result in results if isinstance(result, Snapshot)]
    unseen = [str(result) for result in results if isinstance(result, BackendError)]
    servers = {server.ref: server for snapshot in snapshots for server in snapshot.servers}
    read = {snapshot.info.instance for snapshot in snapshots}
    on_purpose = _find_held_on_purpose(plan, servers)
    out = []
    for node in plan.nodes:
        unseen += [
            f"{ref.instance}: no longer knows {ref.backend}/{ref.server}"
            for ref in node.refs
            if ref.instance in read and ref not in servers
        ]
        before = originals.get(node.name, node.originals)
        own = [servers[ref] for ref in node.refs if ref in servers]
        began = node.name in unfinished
        missing = [
            server
            for server in own
            if not server.in_rotation
            or _is_silenced(server, before[server.ref])
            or (began and is_lowered(server, before[server.ref]))  # such as on a ramp
        ]
        unread = [ref for ref in node.refs if ref.instance not in read and node.name in unfinished]
        others = [] if now is None or node.name in unfinished else _find_taken_by_others(own, before)
        if others and now is not None:
            out.append(
                _describe_left_to_others(node, missing, before, find_removal_time(others, now), others)
            )
        elif missing or unread:
            version = (versions or {}).get(node.name)
            out.append(
                describe_node(plan, node, missing, before, unread, on_purpose=on_purpose, version=version)
            )
    out, not_asked = await add_followers(application.balancer_group.balancers, plan, out)
    fallen = pool.missing(snapshots) if pool is not None else []
    out += _find_fallen_others(application, fallen, versions or {})
    return out, [*unseen, *(problem for problem in not_asked if problem not in unseen)]


def _find_fallen_others(
    application: Application, servers: Sequence[Server], versions: Mapping[str, str]
) -> Iterator[OutOfRotation]:
    """Yield servers of the same backends that are not in the plan, and went down during the rollout."""
    names = map_servers(application.nodes, servers, application.match)
    groups: dict[str, list[Server]] = {}
    for server in servers:
        name = (server.ref.backend, server.ref.server)
        groups.setdefault(names.get(name, "/".join(name)), []).append(server)
    for node, own in groups.items():
        version = versions.get(node)
        command = f"rolldeck upgrade {application.name} {version} --limit {node}"
        yield OutOfRotation(
            node=node,
            servers=[f"{server.ref}: {server.admin_state} ({server.status})" for server in own],
            intentional=False,
            commands=[BackCommand("upgrade", command)] if version else [],
        )


async def _read_snapshot(balancer: LoadBalancer, application: Application) -> Snapshot | BackendError:
    """Read a load balancer, repeatedly for half a second while the last reply of an agent is blank."""
    try:
        for _ in range(AGENT_READS):
            snapshot = await balancer.snapshot(application.balancer_group.backends)
            down = [server for server in snapshot.servers if server.status == "DOWN (agent)"]
            if all(server.last_agent or server.track_target for server in down):
                break
            await asyncio.sleep(AGENT_PAUSE_S)
    except BackendError as error:
        return error
    return snapshot


def _find_taken_by_others(servers: Sequence[Server], originals: Originals) -> list[Server]:
    """Return the servers that somebody has taken out since the originals were read."""
    return [
        server
        for server in servers
        if not server.in_rotation
        and (now := OriginalState.of(server)) != originals[server.ref]
        and (now.admin is not AdminState.READY or now.weight == 0)
    ]


def find_removal_time(servers: Collection[Server], now: float) -> float:
    """Return when the last of these servers was taken out, or 0 where HAProxy does not know.

    HAProxy keeps the time of the last change of a state, but not of a weight.
    """
    ages = [server.last_change for server in servers if server.own_admin_state is not AdminState.READY]
    return now - min(ages) if ages else 0.0


def _describe_left_to_others(
    node: PlannedNode,
    missing: Sequence[Server],
    originals: Originals,
    at: float,
    others: Sequence[Server],
) -> OutOfRotation:
    """Describe a node that somebody else has taken out, without commands: they had a reason."""
    return OutOfRotation(
        node=node.name,
        servers=[_describe_server(server, originals[server.ref]) for server in missing],
        intentional=True,
        commands=[],
        by_others=True,
        by_agent=any(server.agent for server in others),
        since=round(at),
    )


def describe_node(
    plan: Plan,
    node: PlannedNode,
    missing: Sequence[Server],
    originals: Originals,
    unread: Sequence[ServerRef] = (),
    *,
    on_purpose: Collection[ServerRef] = (),
    version: str | None = None,
) -> OutOfRotation:
    """Describe a node that is out: where, whether that is intentional, and the commands that put it back.

    Its servers in `unread` could not be read. Those in `on_purpose`, and their followers, are out as they
    were before. Its `version` is the one that it has, as far as that is known.
    """
    intentional = find_followers(track_targets_of(missing), on_purpose)
    changed = [
        server
        for server in missing
        if not _is_as_found(server, originals[server.ref])
        and not (server.ref in intentional and inherits_only(server))
    ]
    raw = [command for server in changed for command in _commands_to_restore(server, originals[server.ref])]
    raw += [command for ref in unread for command in build_commands_for_unread(ref, originals[ref])]
    wrong = [server.ref for server in changed] + list(unread)
    ready = raw and any(originals[ref].admin is AdminState.READY for ref in wrong)
    ours: list[BackCommand] = []
    not_ready = ""
    if ready:
        ours = [make_ready_command(plan.application, node.name)]
    elif inheriting := [server for server in changed if inherits_only(server)]:
        ours = _ready_of_tracked(plan, inheriting)
    elif by_agent := [server for server in changed if not raw and server.status == "DOWN (agent)"]:
        not_ready = find_maintenance_reasons(by_agent[0])[0].text
    elif (
        wrong and not raw
    ):  # HAProxy has its original state, and it is down all the same: its service must be started
        start = f"rolldeck upgrade {plan.application} {version or plan.target_version(node.name)}"
        ours = [BackCommand("upgrade", f"{start} --limit {node.name}")]
    go_back = ""
    if ready and node.installed not in (None, plan.target_version(node.name)):
        upgrade = f"rolldeck upgrade {plan.application} {node.installed}"
        go_back = f"{upgrade} --limit {node.name} --force-ready {node.name}"
    return OutOfRotation(
        node=node.name,
        servers=[_describe_server(server, originals[server.ref]) for server in missing]
        + [f"{ref}: unknown" for ref in unread],
        intentional=not wrong,
        commands=[*ours, *raw],
        rollback_command=go_back,
        not_ready=not_ready,
    )


def _find_held_on_purpose(plan: Plan, servers: Mapping[ServerRef, Server]) -> list[ServerRef]:
    return [
        ref
        for node in plan.nodes
        for ref, original in node.originals.items()
        if ref in servers and original.admin is not AdminState.READY and _is_as_found(servers[ref], original)
    ]


def _is_as_found(server: Server, original: OriginalState) -> bool:
    """Return whether a server is out on purpose, exactly as it was found."""
    deliberate = original.admin is not AdminState.READY or original.weight == 0
    return deliberate and OriginalState.of(server) == original


def _is_silenced(server: Server, original: OriginalState) -> bool:
    return original.agent and not server.agent


def format_weight(server: Server) -> str:
    """Return `, weight 0` where that alone keeps a server out of rotation, else an empty text."""
    return ", weight 0" if server.weight == 0 and server.own_admin_state is AdminState.READY else ""


def _describe_server(server: Server, original: OriginalState) -> str:
    agent = ", agent check off" if _is_silenced(server, original) else ""
    follows = f", because it follows {server.track_target}" if inherits_only(server) else ""
    weight = format_weight(server)
    if is_lowered(server, original):
        weight = f", weight {server.weight} of {original.weight}"
    return f"{server.ref}: {server.admin_state} ({server.status}){weight}{follows}{agent}"


def _ready_of_tracked(plan: Plan, servers: Sequence[Server]) -> list[BackCommand]:
    """Return commands that put the tracked nodes back: nothing else ends what a follower inherits."""
    tracked = track_targets_of(servers).values()
    return [
        make_ready_command(plan.application, node.name)
        for node in plan.nodes
        if any(ref in node.refs for ref in tracked)
    ]


def build_commands_for_unread(ref: ServerRef, original: OriginalState) -> list[BackCommand]:
    """Return the commands that restore a server that cannot be read."""
    hint = "   (once it is healthy)" if original.admin is AdminState.READY else ""
    lines = [f"{RESTORE[original.admin](ref)}{hint}"]
    lines += [commands.agent_on(ref)] if original.agent else []
    return [BackCommand("by_hand", f"{ref.instance}: {line}") for line in lines]


def _commands_to_restore(server: Server, original: OriginalState) -> list[BackCommand]:
    lines: list[tuple[CommandKind, str]] = []
    if server.weight != original.weight:
        lines.append(("by_hand", commands.weight(server.ref, str(original.weight))))
    if original.admin is not AdminState.READY:
        if OriginalState.of(server).admin is not original.admin:
            lines.append(("by_hand", RESTORE[original.admin](server.ref)))
    elif server.own_admin_state is not AdminState.READY:
        if can_be_proven(server):
            # `ready` alone would trust a stale check result: here too, the checks come first.
            lines.append(("prove", commands.prove(server.ref)))
        lines.append(("by_hand", commands.ready(server.ref)))
    if original.agent and not server.agent:
        lines.append(("by_hand", commands.agent_on(server.ref)))
    return [BackCommand(kind, f"{server.ref.instance}: {line}") for kind, line in lines]
