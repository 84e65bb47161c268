"""The workspaces of all applications that this console has opened; each stays open until the console ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from console.fleet import Fleet
from console.tui.version_polling import poll_versions
from console.tui.workspace import Workspace
from orchestrator.local.launch import Launch


class Workspaces:
    """Opens workspaces on demand. All share the polls, and the reader of the journal, of the fleet.

    Args:
        fleet: has the sessions and the views.
        launch: starts a rollout in another process.
        read_only: why nothing may be changed; empty when it may.

    Attributes:
        fleet: as it was given, like the next one.
        read_only: likewise.
    """

    def __init__(self, fleet: Fleet, launch: Launch, read_only: str = "") -> None:
        self.fleet = fleet
        self._launch = launch
        self.read_only = read_only
        self._opened: dict[str, Workspace] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._polling: asyncio.Task[None] | None = None  # of the versions of the application that is shown

    @property
    def opened(self) -> Mapping[str, Workspace]:
        """Those that are open, by application."""
        return self._opened

    async def open(self, application: str) -> Workspace:
        """Return the workspace of an application, which is opened if it is not yet.

        Raises:
            ConfigError: no such application, or settings that do not fit together.
            BackendError: nodes or load balancers come from Consul, which could not be reached.
        """
        if application not in self._opened:
            session = await self.fleet.open(application)
            view = await self.fleet.find_view(application)
            if application not in self._opened:  # by another key meanwhile
                workspace = Workspace(session, view, self.fleet.config, self._launch, self.read_only)
                self._opened[application] = workspace
                if session.links.remote is not None:
                    following = session.links.remote.run()
                    self._tasks.append(asyncio.create_task(following, name=f"remote {application}"))
        return self._opened[application]

    async def show(self, application: str) -> None:
        """Read the versions of this application from now on, and of no other one; of none if it is empty."""
        if self._polling is not None:
            await _end(self._polling)
        workspace = self._opened.get(application)
        self._polling = (
            asyncio.create_task(poll_versions(workspace.session), name="versions") if workspace else None
        )

    async def close(self) -> None:
        """Close all of them; the fleet closes the sessions."""
        for task in (*self._tasks, *([self._polling] if self._polling is not None else [])):
            await _end(task)
        for workspace in self._opened.values():
            workspace.close()


@asynccontextmanager
async def running_workspaces(fleet: Fleet, launch: Launch, read_only: str = "") -> AsyncIterator[Workspaces]:
    """Close all workspaces at the end of the block; see `Workspaces`."""
    workspaces = Workspaces(fleet, launch, read_only)
    try:
        yield workspaces
    finally:
        await workspaces.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
