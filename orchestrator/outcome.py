"""What is out of rotation, where, and how to put it back: said at every end."""

import asyncio
from collections.abc import Mapping, Sequence

from backends.base import LoadBalancer
from backends.errors import BackendError
from backends.haproxy import commands
from backends.model import AdminState, Server, ServerRef, Snapshot
from orchestrator.application import Application
from orchestrator.events import OutOfRotation
from orchestrator.node import Original
from orchestrator.plan import Plan, PlannedNode

Originals = Mapping[ServerRef, Original]


async def look_at_end(
    application: Application, plan: Plan, originals: Mapping[str, Originals]
) -> tuple[list[OutOfRotation], list[str]]:
    """Read every load balancer once more, each for itself, so that a dead one hides nothing else.

    Returns:
        The nodes that are not in rotation, and the load balancers that could not be read with the reason.
    """
    balancers = application.fleet.balancers
    results = await asyncio.gather(*(_read(each, application) for each in balancers.values()))
    snapshots = [each for each in results if isinstance(each, Snapshot)]
    unseen = [str(each) for each in results if isinstance(each, BackendError)]
    servers = {each.ref: each for snapshot in snapshots for each in snapshot.servers}
    out = []
    for node in plan.nodes:
        own = [servers[ref] for ref in node.refs if ref in servers]
        missing = [each for each in own if not each.in_rotation]
        if missing:
            before = originals.get(node.name, node.originals)
            out.append(describe(plan, node, missing, before))
    return out, unseen


async def _read(balancer: LoadBalancer, application: Application) -> Snapshot | BackendError:
    try:
        return await balancer.snapshot(application.fleet.backends)
    except BackendError as error:
        return error


def describe(plan: Plan, node: PlannedNode, missing: Sequence[Server], originals: Originals) -> OutOfRotation:
    """One node that is out: where, whether somebody wants it so, and the commands that end it."""
    wanted = [each for each in missing if originals[each.ref].admin is AdminState.READY]
    raw = [f"{each.ref.instance}: {line}" for each in wanted for line in _back(each, originals[each.ref])]
    weightless = all(originals[each.ref].weight == 0 for each in wanted)
    go_back = ""
    if raw and node.installed not in (None, plan.version):
        go_back = (
            f"rolldeck upgrade {plan.application} {node.installed} --limit {node.name} --ready {node.name}"
        )
    return OutOfRotation(
        node=node.name,
        where=[f"{each.ref}: {each.admin_state} ({each.status})" for each in missing],
        on_purpose=weightless,
        commands=[f"rolldeck ready {plan.application} {node.name}", *raw] if raw else [],
        go_back=go_back,
    )


def _back(server: Server, original: Original) -> list[str]:
    lines = []
    if server.weight != original.weight:
        lines.append(commands.weight(server.ref, str(original.weight)))
    if server.admin_state is not AdminState.READY:
        if server.checked and not server.tracks:
            # `ready` alone would trust a stale check result; by hand too, the checks come first.
            lines.append(f"{commands.prove(server.ref)}   (then wait until it reads DRAIN)")
        lines.append(commands.ready(server.ref))
    if original.agent and not server.agent:
        lines.append(commands.agent_on(server.ref))
    return lines
