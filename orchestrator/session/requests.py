"""Requests from other processes to the work of a session: they are carried out within its rollout."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from backends.errors import RolldeckError
from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS
from orchestrator.engine import manual_change
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.manual_change import Change, Impact
from orchestrator.engine.operator_requests import OperatorRequests
from orchestrator.engine.plan_differences import Difference
from orchestrator.errors import PlanChanged
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import AbortRequested, NodeNote, Record
from orchestrator.events.text import describe_server
from orchestrator.local.control_socket import ControlSocket, SocketProblem
from orchestrator.local.requests import ChangeLine, ControlLine, Line, Reply
from orchestrator.session.links import SessionLinks
from orchestrator.session.proposal import OpenSession, make_manual_change


class SessionRequests:
    """Carries out what comes through the control socket of a session.

    Args:
        session: whose rollout is meant.

    Attributes:
        entry: the number in the journal of the rollout that runs now; 0 before it has begun and once it is
            over, when nothing but control requests is accepted.
        defect: of our own code, in the first request that met one since this began to listen.
    """

    def __init__(self, session: OpenSession) -> None:
        self.entry = 0
        self.defect: Exception | None = None
        self._session = session
        self._is_listening = False
        self._requests = OperatorRequests(lambda: session.control, "")
        # The tasks of manual changes with their controls, so that a pause does not hold them.
        self._changes: dict[asyncio.Task[object], RolloutControl] = {}

    @asynccontextmanager
    async def listening(self, links: SessionLinks) -> AsyncIterator[None]:
        """Accept requests of other processes while the block runs; within another such block, just run it.

        Raises:
            SocketProblem: the socket cannot be opened, and it is needed.
        """
        if links.socket is None or self._is_listening:  # a rollback after a rollout
            yield
            return
        self._is_listening, self.defect = True, None
        try:
            async with AsyncExitStack() as listening:
                try:
                    socket = ControlSocket(links.socket, self.answer)
                    await listening.enter_async_context(socket.listening())
                except SocketProblem as error:
                    if links.needs_socket:
                        raise
                    text = f"the rollout cannot be controlled by other processes: {error}"
                    self._session.bus.emit(NodeNote(node="", text=text))
                yield
        finally:
            self._is_listening = False

    def watch(self, record: Record) -> None:
        """Note an abort: it also ends manual changes. This is a reader of the bus."""
        self._requests.watch(record)
        if isinstance(record.event, AbortRequested):
            for control in self._changes.values():
                if not control.aborting:
                    control.abort(Actor(record.event.who, record.event.via), record.event.why)

    async def end(self) -> None:
        """Accept no more manual changes, and wait until those that have begun are done."""
        self.entry = 0
        if self._changes:
            await asyncio.wait(set(self._changes))

    async def answer(self, line: Line, actor: Actor) -> Reply:
        """Carry out a request, and return what to reply. A defect does not end the rollout or its control."""
        try:
            return await self._answer(line, actor)
        except Exception as defect:
            self.defect = self.defect or defect
            what = line.what if isinstance(line, ControlLine) else line.action
            text = (
                f"an internal error: {shorten(repr(defect), MAX_SHOWN_CHARS)}; it may have been carried out"
            )
            self._session.control.record(
                NodeNote(node="", text=f"{actor} requested {what}, which met {text}")
            )
            return Reply(status="failed", text=text)

    async def _answer(self, line: Line, actor: Actor) -> Reply:
        if line.entry not in (0, self.entry):
            now = f"rollout {self.entry} runs now" if self.entry else "it is over, or has not begun"
            return Reply(status="refused", text=f"it was meant for rollout {line.entry}: {now}")
        if isinstance(line, ControlLine):
            refusal = self._requests.carry_out(line.what, actor, line.subject, line.question)
            return Reply(status="refused", text=refusal) if refusal else Reply(status="accepted")
        if not self.entry:
            return Reply(status="refused", text="the rollout has not begun, or is over")
        return await self._change(line, actor)

    async def _change(self, line: ChangeLine, actor: Actor) -> Reply:
        session = self._session
        control = RolloutControl(session.clock, EventBus(session.clock), forbidden=session.work_log.lost)

        async def refuse(impact: Impact, differences: Sequence[Difference]) -> Change | None:
            return None

        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is carried out in a task")
        self._changes[task] = control
        try:
            nodes = manual_change.find_nodes(session.application, line.nodes)
            change = Change(line.action, nodes, line.weight, line.override, line.reason)
            after = await make_manual_change(
                session, change, line.shown, refuse, actor=actor, control=control
            )
        except PlanChanged as error:
            return Reply(status="changed", text=str(error))
        except RolldeckError as error:
            return Reply(status="failed", text=str(error))
        finally:
            del self._changes[task]
        return Reply(status="accepted", servers=tuple(map(describe_server, after)))
