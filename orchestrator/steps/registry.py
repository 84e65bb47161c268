"""A node in the registry that others than HAProxy look it up in: out while it is worked on, and back.

What somebody else has put in maintenance there stays so.
"""

from orchestrator.work import Work


async def leave(work: Work, *, by_hand: bool = False) -> None:
    """Set maintenance there and read it back; nothing to do where it is out already, or not registered.

    Raises:
        StepFailed, BackendError: it could not be set, or did not come in time.
    """
    registration = work.node.registration
    if registration is None or not registration.leaves:
        return
    seen = await work.patiently(registration.look, f"{registration.place} to answer")
    if seen.maintenance or not seen.there:
        return

    async def missing() -> str | None:
        seen = await registration.look()
        return None if seen.maintenance or not seen.there else "not in maintenance yet"

    await work.ask(
        lambda: registration.leave(by_hand=by_hand),
        timeout=work.policy.balancer_timeout,
        what=f"set maintenance in {registration.place}",
    )
    await work.until(
        missing, timeout=work.policy.balancer_timeout, what=f"maintenance in {registration.place}"
    )


async def come_back(work: Work, *, by_hand: bool = False) -> None:
    """End what `leave` has set, and read that back.

    Args:
        work: the node's.
        by_hand: also what an earlier change by hand has set.

    Raises:
        StepFailed, BackendError: it could not be ended, or did not end in time.
    """
    registration = work.node.registration
    if registration is None or not registration.leaves:
        return

    async def left() -> bool:
        seen = await registration.look()
        return seen.by_rollout or (by_hand and seen.by_hand)

    async def remains() -> str | None:
        return "still in maintenance" if await left() else None

    if await work.patiently(left, f"{registration.place} to answer"):
        what = f"end maintenance in {registration.place}"
        await work.ask(registration.come_back, timeout=work.policy.balancer_timeout, what=what)
        await work.until(remains, timeout=work.policy.balancer_timeout, what=what)
    if kept := (await work.patiently(registration.look, f"{registration.place} to answer")).maintenance:
        work.note(f"is in maintenance in {registration.place}, and is left so: {kept}")


async def doubt(work: Work) -> str | None:
    """What the registry's own checks have against it, where they are a gate; None when nothing."""
    registration = work.node.registration
    if registration is None or not registration.gate:
        return None
    seen = await registration.look()
    if not seen.there:
        return f"{registration.place} does not have it"
    return f"{registration.place}: {', '.join(seen.doubts)}" if seen.doubts else None
