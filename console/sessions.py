"""Sessions as front ends open them: with the log file, and with signals that end their work."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from backends.local_machine import SystemClock
from console.config.config_file import Config
from console.debug_log import Log
from console.interrupts import TERMINAL_GONE, Listener, interrupts
from console.operator_identity import current_operator
from console.paths import journal_path
from console.stuck_loop import end_when_stuck
from orchestrator.events.actor import Actor, Via
from orchestrator.events.event_bus import EventBus
from orchestrator.local.follower import JournalFollower
from orchestrator.session import factory
from orchestrator.session.session import Session


@asynccontextmanager
async def open_session(
    config: Config,
    app: str,
    via: Via = "terminal",
    *,
    actor: Actor | None = None,
    follower: JournalFollower | None = None,
    needs_socket: bool = False,
) -> AsyncIterator[Session]:
    """Open a session on an application, and close it at the end; see `orchestrator.session.factory`.

    Args:
        config: the whole configuration.
        app: the application.
        via: where the operator works.
        actor: the operator, if that is not the user of this process.
        follower: see `orchestrator.session.factory`.
        needs_socket: likewise.

    Raises:
        ConfigError: no such application, or settings that do not fit together.
        BackendError: nodes or load balancers come from Consul, which could not be reached.
    """
    config.app(app)  # raises before a log is opened
    bus = EventBus(SystemClock())
    journal = journal_path(config.journal.path)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(Log(config.log, app, bus).close)
        opening = factory.open_session(
            config,
            app,
            actor=actor or current_operator(via),
            journal=journal,
            bus=bus,
            follower=follower,
            needs_socket=needs_socket,
        )
        yield await closing.enter_async_context(opening)


@contextmanager
def listen_on(loop: asyncio.AbstractEventLoop, listener: Listener) -> Iterator[None]:
    """Send signals to this listener, in an iteration of the loop, while the context is open."""

    def forward(why: str) -> None:
        loop.call_soon_threadsafe(listener, why)

    with interrupts.listening(forward):
        yield


@asynccontextmanager
async def stop_on_signals(session: Session) -> AsyncIterator[None]:
    """End a rollout after its running steps at the first SIGINT, SIGTERM or SIGHUP, at once at the next.

    SIGHUP means that the terminal is gone: the rollout must not be cut off in the middle of a node. A shell
    such as bash sends a second one, which therefore changes nothing.

    The second signal that finds the event loop stuck ends the process, see `end_when_stuck`.

    Outside a rollout, the first signal ends the work at once, as `KeyboardInterrupt`; see `Interrupts.run`.
    """
    loop = asyncio.get_running_loop()
    outside = interrupts.listener

    def stop(why: str) -> None:
        if session.is_rolling:
            if not (why == TERMINAL_GONE and session.control.aborting):
                session.control.abort(current_operator("terminal"), why)
        elif session.control.aborting or session.results:
            interrupts.end_late()  # everything is printed; a further signal must not replace the exit code
        elif outside is not None:
            outside(why)

    with listen_on(loop, stop), end_when_stuck(loop):
        try:
            yield
        finally:
            if session.control.aborting or session.results:
                interrupts.end()
