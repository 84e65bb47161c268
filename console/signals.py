"""What Ctrl-C, SIGTERM and a terminal that goes away do."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from console.session import Session, operator


@asynccontextmanager
async def stop_on_signals(session: Session) -> AsyncIterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP ends a rollout after its running steps, the second at once.

    SIGHUP is a terminal that has gone: the rollout must not be cut off in the middle of a node.

    Outside a rollout the first one already ends the task, as `KeyboardInterrupt`.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def stop(name: str) -> None:
        if session.rolling:
            session.control.abort(operator(), name)
        elif task:
            task.cancel()

    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the terminal has gone"}
    for number, name in names.items():
        loop.add_signal_handler(number, stop, name)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if session.control.aborting:
            # All is said and only closing is left, which does not take long: one Ctrl-C too many must not
            # replace the exit code.
            signal.pthread_sigmask(signal.SIG_BLOCK, names)
        for number in names:
            loop.remove_signal_handler(number)
