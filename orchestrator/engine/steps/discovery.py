"""A node in service discovery, where programs other than HAProxy find it: in maintenance during its rollout.

Maintenance that somebody else has set there is left as it is.
"""

from backends.command import Command as HostCommand
from backends.errors import BackendError
from backends.node_state import Registered
from backends.protocols import Registration
from orchestrator.engine.step_context import Command, DryRunContext, StepContext
from orchestrator.errors import ServiceDiscoveryMaintenance, StepFailed
from orchestrator.node import Node


async def check_reachable(context: StepContext) -> None:
    """Check that service discovery answers, before a node is touched.

    Raises:
        StepFailed: it did not answer in time; the node stays in rotation.
    """
    if (registration := _synced(context.node)) is not None:
        await context.retry_until_reachable(registration.query, f"{registration.name} to answer")


async def enter_maintenance(context: StepContext) -> None:
    """Set maintenance and read it back, unless the node is in maintenance already, or not registered.

    A manual change replaces the reason of a rollout by its own.

    Raises:
        StepFailed, BackendError: it could not be set, or was not read back in time.
    """
    if (registration := _synced(context.node)) is None:
        return
    registered = await context.retry_until_reachable(registration.query, f"{registration.name} to answer")
    context.discovery_maintenance_set |= registered.set_by_rollout
    if not registered.exists or (
        registered.maintenance and not (context.is_manual and registered.set_by_rollout)
    ):
        return
    what = f"maintenance in {registration.name}"
    if registered.maintenance:  # its reason cannot be changed, only be set again
        await _end(context, registration)
    context.discovery_maintenance_set |= not context.is_manual
    await context.start_action(
        lambda: registration.enable_maintenance(manually=context.is_manual),
        timeout=context.policy.balancer_unreachable_timeout,
        what=f"set {what}",
    )

    async def missing() -> str | None:
        registered = await registration.query()
        return None if registered.maintenance or not registered.exists else "not in maintenance yet"

    await context.wait_for(missing, timeout=context.policy.balancer_unreachable_timeout, what=what)


async def exit_maintenance(context: StepContext) -> None:
    """End the maintenance that `enter_maintenance` has set, and read that back.

    A manual change also ends what an earlier manual change has set.

    Raises:
        ServiceDiscoveryMaintenance: it could not be ended, or did not end in time.
    """
    if (registration := _synced(context.node)) is None:
        return
    try:
        registered = await context.retry_until_reachable(registration.query, f"{registration.name} to answer")
        # It may have deregistered when it stopped. Maintenance may come back with it: wait for it.
        if _ours(context, registered) or (context.discovery_maintenance_set and not registered.exists):
            await _end(context, registration)
            registered = await registration.query()
    except (BackendError, StepFailed) as error:
        text = f"it is back in HAProxy, but it is unknown whether it is back in {registration.name}: {error}"
        raise ServiceDiscoveryMaintenance(text) from error
    if registered.maintenance:
        context.note(f"is in maintenance in {registration.name}, and is left there: {registered.maintenance}")


async def failing_checks(context: StepContext) -> str | None:
    """Describe the failing checks of service discovery, where they are a gate; None when there are none."""
    registration = context.node.registration
    if registration is None or not registration.gate_on_checks:
        return None
    registered = await registration.query()
    if not registered.exists:
        return f"it is not registered in {registration.name}"
    return (
        f"{registration.name}: {', '.join(registered.failing_checks)}" if registered.failing_checks else None
    )


def enter_commands(context: DryRunContext) -> list[Command]:
    """List what `enter_maintenance` would send; nothing where maintenance is set already."""
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


def _ours(context: StepContext, registered: Registered) -> bool:
    """Return whether its maintenance is one that this work may end."""
    return registered.set_by_rollout or (context.is_manual and registered.set_manually)


async def _end(context: StepContext, registration: Registration) -> None:
    """End our maintenance and read that back; a node that is not registered (yet) is waited for."""
    what = f"end maintenance in {registration.name}"
    sent = False

    async def remaining() -> str | None:
        nonlocal sent
        registered = await registration.query()
        if not registered.exists:
            return f"it is not registered in {registration.name}"
        if not _ours(context, registered):
            return None
        if not sent:
            sent = True
            await context.start_action(
                registration.disable_maintenance,
                timeout=context.policy.balancer_unreachable_timeout,
                what=what,
            )
        return "still in maintenance"

    await context.wait_for(remaining, timeout=context.policy.balancer_unreachable_timeout, what=what)
