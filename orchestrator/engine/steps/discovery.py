"""A node in the registry that others than HAProxy look it up in: out while it is worked on, and back.

What somebody else has put in maintenance there stays so.
"""

from backends.command import Command as HostCommand
from backends.errors import BackendError
from backends.node_state import Registered
from backends.protocols import Registration
from orchestrator.engine.step_context import Command, DryRunContext, StepContext
from orchestrator.errors import ServiceDiscoveryMaintenance, StepFailed
from orchestrator.node import Node


async def check_reachable(context: StepContext) -> None:
    """Before a node is touched: a registry that does not answer keeps it in rotation.

    Raises:
        StepFailed: it did not answer in time.
    """
    if (registration := _synced(context.node)) is not None:
        await context.retry_until_reachable(registration.query, f"{registration.name} to answer")


async def enter_maintenance(context: StepContext) -> None:
    """Set maintenance there and read it back; nothing to do where it is out already, or not registered.

    By hand it is for somebody's reason from now on, also where a rollout had set it.

    Raises:
        StepFailed, BackendError: it could not be set, or did not come in time.
    """
    if (registration := _synced(context.node)) is None:
        return
    seen = await context.retry_until_reachable(registration.query, f"{registration.name} to answer")
    context.discovery_maintenance_set |= seen.set_by_rollout
    if not seen.exists or (seen.maintenance and not (context.is_manual and seen.set_by_rollout)):
        return
    what = f"maintenance in {registration.name}"
    if seen.maintenance:  # its reason cannot be changed, only set anew
        await _end(context, registration)
    context.discovery_maintenance_set |= not context.is_manual
    await context.start_action(
        lambda: registration.enable_maintenance(manually=context.is_manual),
        timeout=context.policy.balancer_unreachable_timeout,
        what=f"set {what}",
    )

    async def missing() -> str | None:
        seen = await registration.query()
        return None if seen.maintenance or not seen.exists else "not in maintenance yet"

    await context.wait_for(missing, timeout=context.policy.balancer_unreachable_timeout, what=what)


async def exit_maintenance(context: StepContext) -> None:
    """End what `enter_maintenance` has set, and read that back.

    A change by hand also ends what an earlier change by hand has set.

    Raises:
        ServiceDiscoveryMaintenance: it could not be ended, or did not end in time.
    """
    if (registration := _synced(context.node)) is None:
        return
    try:
        seen = await context.retry_until_reachable(registration.query, f"{registration.name} to answer")
        # It may have deregistered as it stopped. What had been set may come back with it: wait for it.
        if _ours(context, seen) or (context.discovery_maintenance_set and not seen.exists):
            await _end(context, registration)
            seen = await registration.query()
    except (BackendError, StepFailed) as error:
        text = f"it is back in HAProxy, but it is unknown whether it is back in {registration.name}: {error}"
        raise ServiceDiscoveryMaintenance(text) from error
    if seen.maintenance:
        context.note(f"is in maintenance in {registration.name}, and is left there: {seen.maintenance}")


async def failing_checks(context: StepContext) -> str | None:
    """Return what the registry's own checks have against it, where they are a gate; None when nothing."""
    registration = context.node.registration
    if registration is None or not registration.gate_on_checks:
        return None
    seen = await registration.query()
    if not seen.exists:
        return f"{registration.name} does not have it"
    return f"{registration.name}: {', '.join(seen.failing_checks)}" if seen.failing_checks else None


def enter_commands(context: DryRunContext) -> list[Command]:
    """List what `enter_maintenance` would send; nothing where somebody has set maintenance already."""
    registration, registered = _synced(context.node), context.registered
    if registration is None or registered is None or not registered.exists or registered.maintenance:
        return []
    return _rendered(context.node, registration.enable_command())


def exit_commands(context: DryRunContext) -> list[Command]:
    """List what `exit_maintenance` would send; nothing where somebody else has set maintenance."""
    registration, registered = _synced(context.node), context.registered
    if registration is None or registered is None or not registered.exists:
        return []
    if registered.maintenance and not registered.set_by_rollout:
        return []
    return _rendered(context.node, registration.disable_command())


def _rendered(node: Node, command: HostCommand | None) -> list[Command]:
    return [] if command is None else [(node.host.name, node.host.render(command))]


def _synced(node: Node) -> Registration | None:
    """Return the node's registration, where its maintenance mode is kept in sync with HAProxy's."""
    registration = node.registration
    return registration if registration is not None and registration.sync_maintenance else None


def _ours(context: StepContext, seen: Registered) -> bool:
    """It is in maintenance that this work may end."""
    return seen.set_by_rollout or (context.is_manual and seen.set_manually)


async def _end(context: StepContext, registration: Registration) -> None:
    """Ask for the end of ours, and read it back; one that is not registered (yet) is waited for."""
    what = f"end maintenance in {registration.name}"
    asked = False

    async def remains() -> str | None:
        nonlocal asked
        seen = await registration.query()
        if not seen.exists:
            return f"{registration.name} does not have it"
        if not _ours(context, seen):
            return None
        if not asked:
            asked = True
            await context.start_action(
                registration.disable_maintenance,
                timeout=context.policy.balancer_unreachable_timeout,
                what=what,
            )
        return "still in maintenance"

    await context.wait_for(remains, timeout=context.policy.balancer_unreachable_timeout, what=what)
