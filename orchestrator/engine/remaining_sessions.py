"""The sessions of a node that is being drained: the wait for their end, and what is done with the others."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from backends.haproxy import commands
from backends.model import Server, ServerRef
from backends.text import counted
from orchestrator.balancers.admin_state import format_path, is_same_endpoint
from orchestrator.engine.drain_progress import DrainProgress
from orchestrator.engine.older_processes import OlderProcesses
from orchestrator.engine.session_pacing import PacedClosing
from orchestrator.engine.step_context import StepContext
from orchestrator.errors import CutShort, StepFailed, StepTimeout


@dataclass(slots=True)
class RemainingSessions:
    """The sessions of one node from the moment its drain, or its maintenance, began.

    Attributes:
        context: the step context of the node.
        begun: when that was, on the clock that stops during a pause.
        progress: what was seen so far.
        is_cut: an operator has decided that these sessions were waited for long enough.
    """

    context: StepContext
    begun: float
    progress: DrainProgress
    is_cut: bool = False

    @classmethod
    def begin(cls, context: StepContext, *, learns: bool = True) -> "RemainingSessions":
        """Begin now; see `DrainProgress`."""
        progress = DrainProgress.begin(context, learns=learns)
        return cls(context, context.control.elapsed_excluding_pauses(), progress)

    async def wait(self) -> bool:
        """Wait for sessions to end; return whether the deadline passed. Clients with a cookie may stay.

        An operator may take the deadline for passed at any moment.

        Raises:
            Overloaded: the others cannot carry what the node had.
        """
        context = self.context
        try:
            with self._offer_cut():
                await context.wait_for(
                    self._watch, timeout=context.policy.drain_timeout, what="sessions to end"
                )
        except (StepTimeout, CutShort) as passed:
            self.is_cut = isinstance(passed, CutShort)
            context.note(f"{passed}; continuing with maintenance")
            return True
        finally:
            context.outlook = ""
        return False

    def _offer_cut(self) -> AbstractContextManager[None]:
        return self.context.control.wait_cuts.offer(self.context.node.name, "drain", "enough")

    async def _watch(self) -> str | None:
        """Return what is left. Raises Overloaded when the others cannot carry what the node had."""
        self.context.load_guard.raise_if_overloaded(self.context.node.name)
        return await self._describe()

    async def settle(self) -> int:
        """Wait a little for the last sessions, as maintenance lets no new one in; return how many remain.

        Sessions of older HAProxy processes get as long as any other: `drain_timeout` since the drain was set,
        or until an operator decides that it was long enough. None gets less than `maint_grace_period`.

        Raises:
            StepFailed: sessions remain, and the policy says fail.
            Aborted: an operator has aborted the rollout while they were closed one by one.
        """
        context = self.context
        older = await OlderProcesses.of_node(context)
        elapsed = context.control.elapsed_excluding_pauses
        grace_s, begun = context.policy.maint_grace_period, elapsed()
        timeout = grace_s
        if older.counted and not self.is_cut:
            timeout = max(timeout, context.policy.drain_timeout - (begun - self.begun))

        async def probe() -> str | None:
            return await self._describe(stopped=True) or await older.reason()

        what = "last sessions to end"
        try:
            try:
                with self._offer_cut() if timeout > grace_s else nullcontext():
                    await context.wait_for(probe, timeout=timeout, what=what)
            except CutShort:
                await context.wait_for(probe, timeout=max(0.0, begun + grace_s - elapsed()), what=what)
        except StepTimeout as passed:
            context.outlook = ""
            await self._end(passed)
            servers = await read_affected(context, stopped=True)
            current = sum(server.open_sessions for server in servers.values())
            replaced = sum((await context.balancer_group.older_sessions(servers)).values())
            return current + replaced or await older.connections()
        finally:
            context.outlook = ""
            if (drained := self.progress.event()) is not None:
                context.bus.emit(drained)
        return 0

    async def _end(self, passed: StepTimeout) -> None:
        """Do with the sessions that remain what the policy says."""
        context = self.context
        match context.policy.on_remaining_sessions:
            case "fail":
                raise StepFailed(f'{passed}; on_remaining_sessions is "fail"') from None
            case "shutdown":
                for ref in await read_affected(context, stopped=True):
                    await context.balancer_group.balancers[ref.instance].write(
                        commands.shutdown_sessions(ref)
                    )
                context.note(f"{passed}; shut down (on_remaining_sessions)")
            case "pace":
                closing = PacedClosing(context, partial(read_affected, context, stopped=True))
                await closing.run()
                context.note(
                    f"{passed}; closed {counted(closing.closed, 'session')},"
                    f" {context.policy.pace_per_second} per second (on_remaining_sessions)"
                )
            case _:
                context.note(f"{passed}; the stop will cut them")

    async def _describe(self, *, stopped: bool = False) -> str | None:
        """Return what is left and for how long it usually lasts, or None."""
        context = self.context
        servers = await read_affected(context, stopped=stopped)
        older = await context.balancer_group.older_sessions(servers)
        self.progress.add(servers.values(), sum(older.values()))
        busy = [
            f"{server.open_sessions} on {_name_balancer(context, server.ref)}"
            for server in servers.values()
            if server.open_sessions
        ]
        busy += [
            f"{count} on {name} in processes that a reload has replaced"
            for name, count in older.items()
            if count
        ]
        if not busy:
            return None
        context.outlook = await self.progress.outlook(servers.values())
        return f"sessions: {', '.join(busy)}"


async def read_affected(context: StepContext, *, stopped: bool) -> dict[ServerRef, Server]:
    """Read the node's servers and their followers; with `stopped` only those that a stop of its service cuts.

    A follower with the node's own address and port is the same service. Another one keeps its sessions.
    """
    servers = await context.balancer_group.servers(context.refs, context.followers)
    own = [servers[ref] for ref in context.refs]
    return {
        ref: server
        for ref, server in servers.items()
        if not stopped or ref in context.refs or is_same_endpoint(server, own)
    }


def _name_balancer(context: StepContext, ref: ServerRef) -> str:
    """Name the load balancer, and what distinguishes the server from the node's others there."""
    if ref not in context.refs:
        return f"{ref.instance} ({format_path(ref)}, which follows it)"
    return f"{ref.instance} ({ref.backend})" if len(context.balancer_group.backends) > 1 else ref.instance
