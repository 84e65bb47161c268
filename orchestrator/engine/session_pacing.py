"""The paced end of sessions that outlast their deadline, so that their clients do not all return at once.

Websockets and the like never end by themselves, and their clients connect again at once. If all were cut
together, they would meet the remaining servers together.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from backends.errors import PermissionDenied, Refused, UnknownOutcome
from backends.haproxy import commands
from backends.model import ListedSession, Server, ServerRef
from backends.text import counted
from orchestrator.engine.step_context import StepContext
from orchestrator.errors import StepTimeout

MAX_PER_LINE = 300  # sessions; HAProxy's input buffer holds 16 kB
SLACK_S = 30.0  # beyond twice the time that the pace takes, before the others are left to the stop

Read = Callable[[], Awaitable[Mapping[ServerRef, Server]]]
"""Reads the servers whose sessions are to end."""


@dataclass(slots=True)
class PacedClosing:
    """Closes the sessions on some servers, the oldest first.

    The list is read right before each command, and the command has only sessions of these servers: the id of
    a session may belong to another one as soon as it has ended.

    Attributes:
        context: the step context of the node.
        read: reads the servers.
        closed: sessions that were asked to end so far.
    """

    context: StepContext
    read: Read
    closed: int = 0
    _begun: float = 0.0

    async def run(self) -> None:
        """Close all of them; those that cannot be closed in time are left to the stop.

        Raises:
            Aborted: an operator has aborted the rollout; the others stay.
            PermissionDenied: the level of a socket is too low.
        """
        context, pace = self.context, self.context.policy.pace_per_second
        self._begun = context.control.elapsed_excluding_pauses()
        servers = await context.retry_until_reachable(self.read)
        timeout = 2 * _count(servers.values()) / pace + SLACK_S
        try:
            await context.wait_for(self._close_some, timeout=timeout, what="sessions to be closed")
        except StepTimeout as passed:
            context.note(f"{passed}; the stop will cut them")

    async def _close_some(self) -> str | None:
        """Close as many as the pace allows by now; return why it is not done yet."""
        control, pace = self.context.control, self.context.policy.pace_per_second
        control.raise_if_aborting()
        if control.paused:
            return f"{counted(self.closed, 'session')} closed; paused"
        servers = await self.read()
        left = _count(servers.values())
        if not left:
            return None
        elapsed_s = control.elapsed_excluding_pauses() - self._begun
        allowed = min(int(pace * (1 + elapsed_s)) - self.closed, 2 * pace)  # what was missed is not all due
        if allowed >= min(pace, left):
            await self._close(servers, allowed)
        return f"closing {counted(left, 'session')}, {pace} per second"

    async def _close(self, servers: Collection[ServerRef], most: int) -> None:
        """Close the oldest sessions on these servers, at most so many."""
        found: list[tuple[str, ListedSession]] = []
        balancers = self.context.balancer_group.balancers
        for name in sorted({ref.instance for ref in servers}):
            own = [(ref.backend, ref.server) for ref in servers if ref.instance == name]
            listed = await balancers[name].list_sessions(own)
            found += [(name, session) for session in listed.sessions]
        found.sort(key=lambda of: of[1].age or 0, reverse=True)
        for name in balancers:
            ids = [session.id for instance, session in found[:most] if instance == name]
            for start in range(0, len(ids), MAX_PER_LINE):
                await self._send(name, ids[start : start + MAX_PER_LINE])

    async def _send(self, name: str, ids: list[str]) -> None:
        try:
            await self.context.balancer_group.balancers[name].write(commands.shutdown_listed(ids))
        except PermissionDenied:
            raise
        except (Refused, UnknownOutcome):
            pass  # some have ended meanwhile, and the others were closed; the next list shows it
        self.closed += len(ids)


def _count(servers: Collection[Server]) -> int:
    return sum(server.open_sessions for server in servers)
