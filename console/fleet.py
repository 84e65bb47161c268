"""The applications of a configuration in one console: the overview of all, and sessions of those in use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from backends.local_machine import SystemClock, keep_secret
from console.config.config_file import Config
from console.paths import journal_path
from console.sessions import open_session
from orchestrator.events.actor import Via
from orchestrator.fleet.overview import FleetOverview
from orchestrator.session.session import Session


class Fleet:
    """The applications of one configuration. A session that was opened stays open until the fleet is closed.

    Args:
        config: the configuration.
        via: where the operator works.

    Attributes:
        overview: the rows of all applications.
    """

    def __init__(self, config: Config, via: Via = "console") -> None:
        self.config = config
        self.overview = FleetOverview(
            config, journal_path(config.journal.path), SystemClock(), interval=config.console.interval
        )
        self._via: Via = via
        self._sessions: dict[str, Session] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._closing = AsyncExitStack()

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The sessions that are open, by application."""
        return self._sessions

    async def open(self, application: str) -> Session:
        """Return the session of an application, which is opened if it is not yet.

        Raises:
            ConfigError: no such application, or settings that do not fit together.
            BackendError: nodes or load balancers come from Consul, which could not be reached.
        """
        async with self._opening.setdefault(application, asyncio.Lock()):
            if application not in self._sessions:
                opening = open_session(self.config, application, self._via)
                self._sessions[application] = await self._closing.enter_async_context(opening)
            return self._sessions[application]

    async def close(self) -> None:
        """Close all sessions and the overview."""
        self._sessions.clear()
        await self._closing.aclose()
        await self.overview.close()


@asynccontextmanager
async def running_fleet(config: Config, via: Via = "console") -> AsyncIterator[Fleet]:
    """Keep the overview of a fleet up to date while the block runs, and close everything at its end."""
    keep_secret(config.secret_variables())
    fleet = Fleet(config, via)
    reading = asyncio.create_task(fleet.overview.run(), name="overview")
    try:
        yield fleet
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await fleet.close()
