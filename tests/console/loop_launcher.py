"""A launcher that carries out rollouts on the event loop of the test: it starts no process."""

import asyncio
import contextlib
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
        records: gets what the rollouts do.
    """

    def __init__(self, config: Config, records: list[Record]) -> None:
        self.session: Session | None = None  # of the rollout that was started last
        self._config = config
        self._records = records
        self._task: asyncio.Task[RolloutEnded | None] | None = None

    @property
    def is_rolling(self) -> bool:
        return self._task is not None and not self._task.done()

    async def __call__(self, request: RolloutRequest) -> LaunchReply:
        replied: asyncio.Future[LaunchReply] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(request, replied))
        await asyncio.wait((replied, self._task), return_when=asyncio.FIRST_COMPLETED)
        if not replied.done():
            await self._task  # it has failed: raises why
        return replied.result()

    async def _run(
        self, request: RolloutRequest, replied: "asyncio.Future[LaunchReply]"
    ) -> RolloutEnded | None:
        opening = open_session(self._config, request.application, actor=request.actor, needs_socket=True)
        async with opening as session:
            self.session = session
            session.bus.subscribe(self._records.append)
            return await carry_out_request(session, request, replied.set_result)

    async def finished(self) -> RolloutEnded | None:
        """Wait for the end of the rollout that was started last."""
        return await self._task if self._task is not None else None

    async def end(self) -> None:
        """Abort a rollout that still runs."""
        if self._task is not None and self.is_rolling:
            if self.session is not None:
                self.session.control.abort(Actor("the test"), immediate=True)
            with contextlib.suppress(Exception):
                await self._task
