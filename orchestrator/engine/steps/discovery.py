"""A node in the registry that others than HAProxy look it up in: out while it is worked on, and back.

What somebody else has put in maintenance there stays so.
"""

from backends.errors import BackendError
from backends.model import Registered
from backends.protocols import Registration
from orchestrator.engine.step_context import Work
from orchestrator.errors import ServiceDiscoveryMaintenance, StepFailed


async def reach(work: Work) -> None:
    """Before a node is touched: a registry that does not answer keeps it in rotation.

    Raises:
        StepFailed: it did not answer in time.
    """
    if (registration := _leaving(work)) is not None:
        await work.patiently(registration.query, f"{registration.name} to answer")


async def leave(work: Work) -> None:
    """Set maintenance there and read it back; nothing to do where it is out already, or not registered.

    By hand it is for somebody's reason from now on, also where a rollout had set it.

    Raises:
        StepFailed, BackendError: it could not be set, or did not come in time.
    """
    if (registration := _leaving(work)) is None:
        return
    seen = await work.patiently(registration.query, f"{registration.name} to answer")
    work.left_registry |= seen.set_by_rollout
    if not seen.exists or (seen.maintenance and not (work.by_hand and seen.set_by_rollout)):
        return
    what = f"maintenance in {registration.name}"
    if seen.maintenance:  # its reason cannot be changed, only set anew
        await _end(work, registration)
    work.left_registry |= not work.by_hand
    await work.ask(
        lambda: registration.enable_maintenance(manually=work.by_hand),
        timeout=work.policy.balancer_unreachable_timeout,
        what=f"set {what}",
    )

    async def missing() -> str | None:
        seen = await registration.query()
        return None if seen.maintenance or not seen.exists else "not in maintenance yet"

    await work.until(missing, timeout=work.policy.balancer_unreachable_timeout, what=what)


async def come_back(work: Work) -> None:
    """End what `leave` has set, and read that back; by hand also what an earlier change by hand has set.

    Raises:
        ServiceDiscoveryMaintenance: it could not be ended, or did not end in time.
    """
    if (registration := _leaving(work)) is None:
        return
    try:
        seen = await work.patiently(registration.query, f"{registration.name} to answer")
        # It may have deregistered as it stopped. What had been set may come back with it: wait for it.
        if _ours(work, seen) or (work.left_registry and not seen.exists):
            await _end(work, registration)
            seen = await registration.query()
    except (BackendError, StepFailed) as error:
        text = f"it is back in HAProxy, but it is unknown whether it is back in {registration.name}: {error}"
        raise ServiceDiscoveryMaintenance(text) from error
    if seen.maintenance:
        work.note(f"is in maintenance in {registration.name}, and is left there: {seen.maintenance}")


async def doubt(work: Work) -> str | None:
    """What the registry's own checks have against it, where they are a gate; None when nothing."""
    registration = work.node.registration
    if registration is None or not registration.gate_on_checks:
        return None
    seen = await registration.query()
    if not seen.exists:
        return f"{registration.name} does not have it"
    return f"{registration.name}: {', '.join(seen.failing_checks)}" if seen.failing_checks else None


def _leaving(work: Work) -> Registration | None:
    registration = work.node.registration
    return registration if registration is not None and registration.sync_maintenance else None


def _ours(work: Work, seen: Registered) -> bool:
    """It is in maintenance that this work may end."""
    return seen.set_by_rollout or (work.by_hand and seen.set_manually)


async def _end(work: Work, registration: Registration) -> None:
    """Ask for the end of ours, and read it back; one that is not registered (yet) is waited for."""
    what = f"end maintenance in {registration.name}"
    asked = False

    async def remains() -> str | None:
        nonlocal asked
        seen = await registration.query()
        if not seen.exists:
            return f"{registration.name} does not have it"
        if not _ours(work, seen):
            return None
        if not asked:
            asked = True
            await work.ask(
                registration.disable_maintenance, timeout=work.policy.balancer_unreachable_timeout, what=what
            )
        return "still in maintenance"

    await work.until(remains, timeout=work.policy.balancer_unreachable_timeout, what=what)
