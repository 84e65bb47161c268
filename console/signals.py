"""What Ctrl-C, SIGTERM and a terminal that goes away do."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from console.session import Session
from console.who import operator

TERMINAL_GONE = "the terminal has gone"


@asynccontextmanager
async def stop_on_signals(session: Session) -> AsyncIterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP ends a rollout after its running steps, a further one at once.

    SIGHUP is a terminal that has gone: the rollout must not be cut off in the middle of a node. A shell such
    as bash sends a second one, which therefore means nothing more.

    Outside a rollout the first one already ends the task, as `KeyboardInterrupt`.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stop(name: str) -> None:
        if session.rolling:
            if not (name == TERMINAL_GONE and session.control.aborting):
                session.control.abort(operator("terminal"), name)
        elif task:
            task.cancel()

    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: TERMINAL_GONE}
    for number, name in names.items():
        loop.add_signal_handler(number, stop, name)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in names:
            if session.control.aborting:
                _ignore(loop, number)
            else:
                loop.remove_signal_handler(number)


def _ignore(loop: asyncio.AbstractEventLoop, number: int) -> None:
    """For good: all is said, only closing is left, and one Ctrl-C too many must not replace the exit code.

    Blocking the signal in this thread would not do: another thread would take it, and hand it over.
    """
    ignored = False
    while not ignored:
        with suppress(KeyboardInterrupt):  # of one that comes in between
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
            ignored = True
