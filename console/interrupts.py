"""The handling of SIGINT, SIGTERM and SIGHUP, from the start of the process to its end.

At every moment a signal ends the work with exit code 4 and a message, and a further signal replaces neither.
The handlers of Python and of the system never apply: one prints a traceback, the other nothing at all.
"""

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

from console.exit_codes import ExitCode

T = TypeVar("T")
Listener = Callable[[str], None]
"""Called with the reason for the end, between any two lines of the main thread."""

TERMINAL_GONE = "the terminal was closed"
REASONS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: TERMINAL_GONE}
FORCE_EXIT_DELAY_S = 5.0  # from a signal while only closing is left to the forced exit


class Interrupts:
    """The current reaction to signals. There is one instance for the process, `interrupts`.

    Attributes:
        late: a signal came when everything was printed or about to be: nothing has to be waited for.
        unclosed: a file cannot be closed, as on a disk that does not answer: the exit must not try it again.
    """

    def __init__(self) -> None:
        self.late = False
        self.unclosed = False
        self._listener: Listener | None = None
        self._early: bool | None = None  # a signal came before `begin`; None once that was called
        self._ending = False  # everything is printed or about to be, and only closing is left
        self._forced = False

    def catch(self) -> None:
        """Catch the signals from now on.

        An ignored SIGHUP stays ignored: `nohup` means that the work goes on without the terminal. An ignored
        SIGINT does not: a shell ignores it for every `&` without being asked, and an abort is always
        accepted.
        """
        self._early = False
        for number in REASONS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._received)

    def begin(self) -> None:
        """From now on, a first signal without a listener raises KeyboardInterrupt; an early one does now."""
        early, self._early = self._early, None
        if early:
            self.end()
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Ignore all signals for the rest of the process: the exit code is known."""
        for number in REASONS:
            signal.signal(number, signal.SIG_IGN)

    def end(self) -> None:
        """Note that only closing is left: a signal stops nothing any more, but limits the time of closing."""
        self._ending = True

    def end_late(self) -> None:
        """Do as `end`, for a signal that came when everything had been printed."""
        self.late = True
        self.end()

    @property
    def listener(self) -> Listener | None:
        """The listener that gets signals now."""
        return self._listener

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Send signals to this listener while the context is open."""
        before, self._listener = self._listener, listener
        try:
            yield
        finally:
            self._listener = before

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run as `asyncio.run` does; a signal cancels `main`, once, and becomes a KeyboardInterrupt."""
        import asyncio

        async def cancellable() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def stop(_: str) -> None:
                self.end()
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)

            with self.listening(stop):
                try:
                    return await main
                except asyncio.CancelledError:
                    if self._ending:
                        raise KeyboardInterrupt from None
                    raise

        self._ending = False
        try:
            return asyncio.run(cancellable())
        finally:
            self.end()

    def _received(self, number: int, _: FrameType | None) -> None:
        if self._early is not None:
            self._early = True
        elif self._ending:
            self.late = True
            self._force()
        elif self._listener is not None:
            self._listener(REASONS[signal.Signals(number)])
        else:
            self.end()
            raise KeyboardInterrupt

    def _force(self) -> None:
        if not self._forced:
            self._forced = True
            timer = threading.Timer(FORCE_EXIT_DELAY_S, _exit)
            timer.daemon = True
            timer.start()


def _exit() -> None:
    """Exit although something does not close: nothing is waited for, not even this message."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, b"rolldeck: aborted, although not everything could be closed\n")
    os._exit(ExitCode.ABORTED)


interrupts = Interrupts()
