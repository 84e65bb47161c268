"""A launcher that carries out rollouts on the event loop of the test: it starts no process."""

import asyncio
from typing import TYPE_CHECKING

from console.config.config_file import Config
from console.sessions import open_session
from orchestrator.events.actor import Actor
from orchestrator.events.events import Record, RolloutEnded
from orchestrator.local.launch import LaunchReply, RolloutRequest
from orchestrator.session.rollout_request import carry_out_request

if TYPE_CHECKING:
    from orchestrator.session.session import Session


class LoopLauncher:
    """Implements `Launch`, with the code that the process of a rollout runs.

    Args:
        config: of the world.
        records: what the rollouts do is appended to it.

    Attributes:
        session: of the rollout that was started last.
        rolling: the sessions of all rollouts that run.
        defects: what has ended rollouts that had begun, other than their own end.
    """

    def __init__(self, config: Config, records: list[Record]) -> None:
        self.session: Session | None = None
        self.rolling: list[Session] = []
        self.defects: list[BaseException] = []
        self._config = config
        self._records = records
        self._tasks: list[asyncio.Task[RolloutEnded | None]] = []

    @property
    def is_rolling(self) -> bool:
        return any(not task.done() for task in self._tasks)

    async def __call__(self, request: RolloutRequest) -> LaunchReply:
        replied: asyncio.Future[LaunchReply] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(request, replied))
        self._tasks.append(task)
        await asyncio.wait((replied, task), return_when=asyncio.FIRST_COMPLETED)
        if not replied.done():
            await task  # it has failed: raises why
        return replied.result()

    async def _run(
        self, request: RolloutRequest, replied: "asyncio.Future[LaunchReply]"
    ) -> RolloutEnded | None:
        opening = open_session(self._config, request.application, actor=request.actor, needs_socket=True)
        async with opening as session:
            self.session = session
            self.rolling.append(session)
            session.bus.subscribe(self._records.append)
            try:
                return await carry_out_request(session, request, replied.set_result)
            except Exception as error:
                self.defects.append(error)
                raise
            finally:
                self.rolling.remove(session)
                if session.defect is not None:
                    self.defects.append(session.defect)

    async def finished(self) -> RolloutEnded | None:
        """Wait for the end of the rollout that was started last."""
        return await self._tasks[-1] if self._tasks else None

    async def end(self) -> None:
        """Abort the rollouts that still run."""
        for session in self.rolling:
            session.control.abort(Actor("the test"), immediate=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
