"""Opens a session for a front end: as the configuration says, and with its log."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from backends.clock import SystemClock
from console.config.schema import Config
from console.debug_log import Log
from console.operator_identity import current_operator
from console.paths import journal_path
from orchestrator.events.actor import Via
from orchestrator.events.event_bus import EventBus
from orchestrator.session import factory
from orchestrator.session.session import Session


@asynccontextmanager
async def open_session(config: Config, app: str, via: Via = "terminal") -> AsyncIterator[Session]:
    """Open what work on an application needs, and close it at the end; see `orchestrator.session.factory`.

    Args:
        config: the whole configuration.
        app: which application.
        via: from where the operator works.

    Raises:
        ConfigError: no such application, or settings that do not fit together.
        BackendError: Consul has to tell where things are, and could not be asked.
    """
    config.app(app)  # before there is a log of it
    bus = EventBus(SystemClock())
    journal = journal_path(config.journal.path)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(Log(config.log, app, bus).close)
        opening = factory.open_session(config, app, actor=current_operator(via), journal=journal, bus=bus)
        yield await closing.enter_async_context(opening)
