"""What Ctrl-C, SIGTERM and a terminal that goes away do to a session's work."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from console.interrupts import TERMINAL_GONE, Listener, interrupts
from console.operator_identity import current_operator
from orchestrator.session.session import Session


@contextmanager
def listening_on(loop: asyncio.AbstractEventLoop, listener: Listener) -> Iterator[None]:
    """Within it signals go to this listener, in a turn of the loop."""

    def hear(why: str) -> None:
        loop.call_soon_threadsafe(listener, why)

    with interrupts.listening(hear):
        yield


@asynccontextmanager
async def stop_on_signals(session: Session) -> AsyncIterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP ends a rollout after its running steps, a further one at once.

    SIGHUP is a terminal that has gone: the rollout must not be cut off in the middle of a node. A shell such
    as bash sends a second one, which therefore means nothing more.

    Outside a rollout the first one already ends the work, as `KeyboardInterrupt`; see `Interrupts.run`.
    """
    loop = asyncio.get_running_loop()
    outside = interrupts.listener

    def stop(why: str) -> None:
        if session.is_rolling:
            if not (why == TERMINAL_GONE and session.control.aborting):
                session.control.abort(current_operator("terminal"), why)
        elif session.control.aborting or session.results:
            interrupts.end_late()  # all is said, and one too many must not replace the exit code
        elif outside is not None:
            outside(why)

    with listening_on(loop, stop):
        try:
            yield
        finally:
            if session.control.aborting or session.results:
                interrupts.end()
