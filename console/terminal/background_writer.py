"""A thread that writes all output, so that a stopped terminal or a slow reader blocks nothing else."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

GIVE_UP_TIMEOUT_S = 1.0
"""How long, after a signal, no output may be accepted until the rest is given up."""
_CHECK_INTERVAL_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Something to write.

    Attributes:
        write: writes the output, however long that takes.
        live: a later live job may replace it while it waits.
        needed: the end of the process waits for it.
    """

    write: Callable[[], None]
    live: bool = False
    needed: bool = True


class BackgroundWriter:
    """Writer that runs jobs in their order, in a thread that starts with the first one.

    Attributes:
        progress: grows with everything that is written; while it grows, there is a reader.
        finished: everything was written at the end; otherwise the thread may still hold a stream.
    """

    def __init__(self, late: Callable[[], bool] = lambda: False) -> None:
        """Create the writer without its thread.

        Args:
            late: returns whether a signal that ends the wait of `finish` came before it.
        """
        self.progress = 0
        self.finished = False
        self._late = late
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._needed = 0  # needed jobs that wait or are being written
        self._thread: threading.Thread | None = None

    def put(self, job: Job) -> None:
        """Queue a job behind all others, and return at once."""
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
        """Wait until all required output is written: its reader may come back at any time.

        SIGINT, SIGTERM or SIGHUP ends the wait once nothing was accepted for a second, even if it came while
        everything else was being closed.
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
    """Collect signals while the context is open, instead of handling them."""
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
    """Return the writer that is in use; None outside `write_in_background`."""
    return _current


@contextmanager
def write_in_background(late: Callable[[], bool] = lambda: False) -> Iterator[BackgroundWriter]:
    """Write all output in a thread of its own, in order, while the context is open.

    A stopped terminal (Ctrl-S), or a reader that does not read, blocks its writer: that must be neither the
    rollout nor the handling of Ctrl-C. The end of the context waits for all output; see `finish`.
    """
    global _current
    writer = _current = BackgroundWriter(late)
    try:
        yield writer
    finally:
        _current = None
        writer.finish()
