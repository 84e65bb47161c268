"""After a failure: out of rotation until someone decides."""

from backends.haproxy import commands
from orchestrator import guard
from orchestrator.errors import GuardRefused
from orchestrator.steps.drain import in_maintenance
from orchestrator.work import Work


async def keep_out(work: Work) -> None:
    """Bring a failed node to maintenance everywhere, unless the floor needs even this one.

    Raises:
        BackendError: a load balancer could not be asked, or refused.
    """
    async with work.fleet.lock:
        try:
            guard.check(await work.patiently(work.fleet.look), work.refs, work.policy)
        except GuardRefused as refusal:
            work.note(f"left in rotation although it failed, because of the floor: {refusal}")
            return
        await work.ensure(work.refs, commands.maint, in_maintenance)
