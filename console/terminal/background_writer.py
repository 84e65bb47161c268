"""A thread that writes for everybody else: nobody waits for a terminal that is stopped, or for a reader."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

GIVE_UP_TIMEOUT_S = 1.0
"""After a signal, how long nothing may have been taken until the rest is given up."""
_CHECK_INTERVAL_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Something to write.

    Attributes:
        write: writes it, however long that takes.
        live: the next one that is live too may take its place as long as it waits.
        needed: the end of the process waits for it.
    """

    write: Callable[[], None]
    live: bool = False
    needed: bool = True


class BackgroundWriter:
    """Writes jobs in their order. The thread begins with the first one.

    Attributes:
        progress: grows with everything that is written; as long as it does, somebody reads.
        finished: all was written when the end was waited for; else the thread may still hold a stream.
    """

    def __init__(self, late: Callable[[], bool] = lambda: False) -> None:
        """Begin without a thread.

        Args:
            late: whether a signal that `finish` has to obey came before it.
        """
        self.progress = 0
        self.finished = False
        self._late = late
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._needed = 0  # jobs that wait or are being written
        self._thread: threading.Thread | None = None

    def put(self, job: Job) -> None:
        """Write this after all others; returns at once."""
        with self._changed:
            if job.live and self._jobs and self._jobs[-1].live:
                self._needed -= self._jobs.pop().needed
            self._jobs.append(job)
            self._needed += job.needed
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs:
                    self._changed.wait()
                job = self._jobs.popleft()
            try:
                job.write()
            finally:
                with self._changed:
                    self.progress += 1
                    self._needed -= job.needed
                    self._changed.notify_all()

    def finish(self) -> None:
        """Wait until all that is needed is written: its reader may come back at any time.

        SIGINT, SIGTERM or SIGHUP ends the wait as soon as nothing was taken for a second, also one that came
        while everything else was closed.
        """
        with _collect_signals(_SIGNALS) as noted, self._changed:
            late = self._late()
            progress, quiet = self.progress, 0.0
            while self._needed and self._thread is not None and self._thread.is_alive():
                if (noted or late) and quiet >= GIVE_UP_TIMEOUT_S:
                    break
                self._changed.wait(_CHECK_INTERVAL_S)
                quiet = quiet + _CHECK_INTERVAL_S if (noted or late) and self.progress == progress else 0.0
                progress = self.progress
            self.finished = not self._needed and not self._jobs


@contextmanager
def _collect_signals(numbers: Sequence[signal.Signals]) -> Iterator[list[int]]:
    """Those that come meanwhile, instead of what they would do."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, _: FrameType | None) -> None:
        noted.append(number)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_current: BackgroundWriter | None = None


def current_writer() -> BackgroundWriter | None:
    """Who writes now for everybody; None where each writes by itself."""
    return _current


@contextmanager
def write_in_background(late: Callable[[], bool] = lambda: False) -> Iterator[BackgroundWriter]:
    """Write from a thread of its own meanwhile, in order.

    A terminal that is stopped (Ctrl-S), or a reader that does not read, blocks whoever writes: that must not
    be the rollout, nor what listens for Ctrl-C. At the end it waits until all is written, see `finish`.
    """
    global _current
    writer = _current = BackgroundWriter(late)
    try:
        yield writer
    finally:
        _current = None
        writer.finish()
