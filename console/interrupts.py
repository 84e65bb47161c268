"""SIGINT, SIGTERM and SIGHUP, from the first moment of a process to its last.

Whatever is being done, a signal ends it with exit code 4 and words, and one too many replaces neither. Those
of Python and of the system are there at no moment: one ends with a traceback, the other without a word.
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
"""Is told why everything is to end; called between any two lines of the main thread."""

TERMINAL_GONE = "the terminal was closed"
REASONS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: TERMINAL_GONE}
FORCE_EXIT_DELAY_S = 5.0  # from a signal that has nothing left to stop to the end by force


class Interrupts:
    """What a signal does now. There is one for the process, `interrupts`.

    Attributes:
        late: one came when all was said or on its way: nothing need be waited for any more.
    """

    def __init__(self) -> None:
        self.late = False
        self._listener: Listener | None = None
        self._early: bool | None = None  # one came before `begin`; None once that was called
        self._ending = False  # all is said or on its way, and only closing is left
        self._forced = False

    def catch(self) -> None:
        """From now on signals come here.

        An ignored SIGHUP stays so: whoever starts us with `nohup` wants the work to go on when the terminal
        has gone. An ignored SIGINT does not: that is what a shell does for `&` without being asked, and an
        abort is always accepted.
        """
        self._early = False
        for number in REASONS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._received)

    def begin(self) -> None:
        """From now on the first signal without a listener raises KeyboardInterrupt; an early one now."""
        early, self._early = self._early, None
        if early:
            self.end()
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """For good: the exit code is known."""
        for number in REASONS:
            signal.signal(number, signal.SIG_IGN)

    def end(self) -> None:
        """Only closing is left: a signal stops nothing, but closing may not take for ever then."""
        self._ending = True

    def end_late(self) -> None:
        """As `end`, for a signal that came when all was said already."""
        self.late = True
        self.end()

    @property
    def listener(self) -> Listener | None:
        """Where signals go now."""
        return self._listener

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Within it signals go there."""
        before, self._listener = self._listener, listener
        try:
            yield
        finally:
            self._listener = before

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """As `asyncio.run`; a signal cancels `main`, once, and ends as KeyboardInterrupt."""
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
    """Something does not close, and somebody wants an end: nothing waits any more, this writing neither."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, b"rolldeck: aborted, although not everything could be closed\n")
    os._exit(ExitCode.ABORTED)


interrupts = Interrupts()
