"""The applications of a configuration in one console: the overview of all, and sessions of those in use."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from backends.errors import Unreachable
from backends.local_machine import SystemClock, keep_secret
from console.config.config_file import Config
from console.operator_identity import current_operator
from console.paths import journal_path
from console.sessions import open_session
from orchestrator.beside import running_beside
from orchestrator.fleet.overview import FleetOverview
from orchestrator.live.poller import LiveView
from orchestrator.local.follower import JournalFollower
from orchestrator.session.session import Session

FIND_TIMEOUT_S = 10.0  # seconds to find the load balancers of an application in Consul
_FIND_INTERVAL_S = 0.05


class Fleet:
    """The applications of one configuration. A session that was opened stays open until the fleet is closed.

    Args:
        config: the configuration.

    Attributes:
        config: as it was given.
        follower: follows the rollouts of this machine, for the overview and for all sessions.
        overview: the rows of all applications.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        journal, clock = journal_path(config.journal.path), SystemClock()
        self.follower = JournalFollower(journal, clock, current_operator("console"))
        self.overview = FleetOverview(
            config, journal, clock, follower=self.follower, interval=config.console.interval
        )
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
                opening = open_session(self.config, application, "console", follower=self.follower)
                session = await self._closing.enter_async_context(opening)
                session.versions.by_node.update(self.overview.known_versions(application))
                self._sessions[application] = session
            return self._sessions[application]

    async def find_view(self, application: str) -> LiveView:
        """Return the live view of an application, once its load balancers are known.

        Raises:
            Unreachable: they are in Consul, and were not found in time.
        """
        deadline = asyncio.get_running_loop().time() + FIND_TIMEOUT_S
        while (view := self.overview.view(application)) is None:
            if asyncio.get_running_loop().time() > deadline:
                problem = self.overview.members[application].problem or "its load balancers are not known yet"
                raise Unreachable(application, problem)
            await asyncio.sleep(_FIND_INTERVAL_S)
        return view

    async def close(self) -> None:
        """Close all sessions and the overview."""
        self._sessions.clear()
        await self._closing.aclose()
        await self.overview.close()
        self.follower.close()


@asynccontextmanager
async def running_fleet(config: Config) -> AsyncIterator[Fleet]:
    """Keep the overview of a fleet up to date while the block runs, and close everything at its end."""
    keep_secret(config.secret_variables())
    fleet = Fleet(config)
    try:
        async with running_beside({"overview": fleet.overview.run, "journal": fleet.follower.run}):
            yield fleet
    finally:
        await fleet.close()
