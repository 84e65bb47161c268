"""What is advised at the end of a rollout: tried, as far as looking tries it, before anybody is told."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import msgspec

from backends.errors import BackendError
from backends.model import Activity
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.ways_back import CommandKind, OutOfRotation, WayOn
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.planning.plan import Plan

LOOK_SECONDS = 10.0  # for one node, at the end: it may be the one that hangs


async def tried(
    application: Application, out: Sequence[OutOfRotation], unfinished: Collection[str]
) -> list[OutOfRotation]:
    """Look whether `rolldeck ready` could work on the nodes that are to be put back.

    It proves a node, and starts nothing: nobody is told to type it where the service does not run, or is
    being stopped and would be killed while it serves. Neither is anybody told to start what runs.

    Args:
        application: has the nodes.
        out: those that are out of rotation, with the commands.
        unfinished: names of those that were touched and are not done; the others are as they were.
    """
    nodes = {node.name: node for node in application.nodes}
    return list(
        await asyncio.gather(
            *(
                _try(nodes[entry.node], entry)
                if entry.node in unfinished and entry.node in nodes and _has(entry, "ready")
                else _try_start(nodes[entry.node], entry)
                if entry.node in nodes and _has(entry, "upgrade")
                else _as_it_is(entry)
                for entry in out
            )
        )
    )


def _has(out: OutOfRotation, kind: CommandKind) -> bool:
    return any(command.kind == kind for command in out.commands)


async def _try_start(node: Node, out: OutOfRotation) -> OutOfRotation:
    """HAProxy has it as it was, and it is down. Where it is healthy, starting it would find nothing to do."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            health = await node.health.check()
    except (BackendError, TimeoutError):
        return out
    if not health.ok:
        return out
    why = "its own health is good, but not HAProxy's checks of it"
    kept = [command for command in out.commands if command.kind != "upgrade"]
    return msgspec.structs.replace(out, not_ready=why, commands=kept)


async def _as_it_is(out: OutOfRotation) -> OutOfRotation:
    return out


async def _try(node: Node, out: OutOfRotation) -> OutOfRotation:
    health = None
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            health = await node.health.check()
            service = await node.service.state()
    except (BackendError, TimeoutError) as error:
        if health is not None and health.ok:
            return out  # `ready` looks at its health alone, where the service manager says nothing
        why = f"it cannot be queried: {str(error) or 'no answer in time'}"
        return msgspec.structs.replace(out, not_ready=why)
    if service.stopping:
        why = f"its service is being stopped ({service.detail})"
        return msgspec.structs.replace(out, not_ready=why, stopped=True)
    if health.ok:
        return out
    if service.activity in (Activity.RUNNING, Activity.CHANGING):
        return msgspec.structs.replace(out, not_ready=f"it is not healthy: {health.detail}")
    why = f"its service does not run ({service.detail or service.activity})"
    return msgspec.structs.replace(out, not_ready=why, stopped=True)


def ways_on(plan: Plan, kind: str, touched: Collection[str], failed_at: Mapping[str, Step]) -> list[WayOn]:
    """What can be done about a rollout that has not ended well.

    Args:
        plan: of it.
        kind: "upgrade" or "rollback".
        touched: the nodes that it has changed; without any there is nothing to finish or to undo.
        failed_at: where nodes have failed: after the installation the new version is to blame, and going
            back comes first.
    """
    if not touched:
        return []
    resume = WayOn(purpose="resume", command=f"rolldeck resume {plan.application}")
    known = all(plan.node(name).has_version for name in touched)
    if kind == "rollback" or not known:
        return [resume]
    rollback = WayOn(purpose="rollback", command=f"rolldeck rollback {plan.application}")
    bad = set(STEPS.after("install")).intersection(failed_at.values())  # there the new version runs
    return [rollback, resume] if bad else [resume, rollback]


def versions_at_end(
    plan: Plan, upgraded: Collection[str], unfinished: Collection[str], others: Mapping[str, str]
) -> dict[str, str]:
    """Which version each node has, as far as that is known without looking again.

    Args:
        plan: of the rollout.
        upgraded: nodes that are done.
        unfinished: nodes of which nobody can say it before they were looked at.
        others: of nodes that the plan does not have.
    """
    found = dict(others)
    for node in plan.nodes:
        if node.name in upgraded:
            found[node.name] = plan.target_version(node.name)
        elif node.name in unfinished:
            found.pop(node.name, None)
        elif node.has_version:
            found[node.name] = node.displayed_version
    return dict(sorted(found.items()))
