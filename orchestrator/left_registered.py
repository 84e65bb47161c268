"""Nodes that were left in maintenance in a registry: named with those that are out of rotation."""

import asyncio
from collections.abc import Collection, Sequence

import msgspec

from backends.errors import BackendError
from backends.model import Registered
from backends.protocols import Registration
from orchestrator.application import Application
from orchestrator.events import BackCommand, OutOfRotation
from orchestrator.node import Node
from orchestrator.ways_back import ready_command


async def with_registries(
    application: Application, out: Sequence[OutOfRotation], unfinished: Collection[str]
) -> tuple[list[OutOfRotation], list[str]]:
    """Look at the nodes that were touched and are not done; of the others the end has been read back.

    Args:
        application: has the nodes.
        out: what is out of rotation in HAProxy.
        unfinished: names of nodes.

    Returns:
        The same with what is out in a registry, and what could not be asked, with the reason.
    """
    found = {each.node: each for each in out}
    nodes = [each for each in application.nodes if each.name in unfinished]
    kept = [(each, each.registration) for each in nodes if each.registration and each.registration.leaves]
    seen = await asyncio.gather(*(_look(registration) for _, registration in kept))
    unseen = dict.fromkeys(str(each) for each in seen if isinstance(each, BackendError))
    for (node, registration), each in zip(kept, seen, strict=True):
        if isinstance(each, BackendError) or each.by_rollout:
            what = "unknown" if isinstance(each, BackendError) else "maintenance"
            found[node.name] = _added(application, node, registration, what, found.get(node.name))
    return list(found.values()), list(unseen)


async def _look(registration: Registration) -> Registered | BackendError:
    try:
        return await registration.look()
    except BackendError as error:
        return error


def _added(
    application: Application, node: Node, registration: Registration, what: str, known: OutOfRotation | None
) -> OutOfRotation:
    if known is None or known.intentional:
        before = known.servers if known is not None else []
        ready = [ready_command(application.name, node.name)]
        known = OutOfRotation(node=node.name, servers=before, intentional=False, commands=ready)
    back = registration.return_command()
    by_hand = (
        [BackCommand("by_hand", f"{node.host.name}: {node.host.render(back)}")] if back is not None else []
    )
    servers = [*known.servers, f"{registration.place}: {what}"]
    return msgspec.structs.replace(known, servers=servers, commands=[*known.commands, *by_hand])
