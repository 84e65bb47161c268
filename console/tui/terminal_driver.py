"""A Textual driver whose output never blocks the event loop, and so never delays a rollout."""

import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from console.terminal.background_writer import BackgroundWriter, Job, current_writer

MAX_WAITING_FRAMES = 8
"""How many frames may wait; beyond that, frames are dropped until none waits."""
WRITE_CHUNK_BYTES = 4096  # written at once: an empty terminal buffer has room for them
LEAVE_TIMEOUT_S = 0.5  # for the terminal to accept what restores it
ALIVE_CHECK_INTERVAL_S = 1.0  # between two checks that the terminal is still there
RESET_SEQUENCE = "\x18\x1b[?2026l\x1b[0m"  # ends a sequence, a synchronized update and colors in the middle


class TerminalDriver(LinuxDriver):
    """Textual's driver with another writer: the original blocks the loop after 30 pending writes.

    A *frame* is everything that `App._display` writes at once. If a terminal does not accept frames in time,
    whole ones are dropped before they are rendered; other output, such as a change of mode, is kept.
    """

    class CaughtUp(Message):
        """Message that the terminal reads again, and has received everything but the dropped frames."""

    class Gone(Message):
        """Message that the terminal is gone."""

    class Failed(Message):
        """Message that a bug ended the thread that reads the keys."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._writer = current_writer() or BackgroundWriter()
        terminal = sys.__stderr__
        assert terminal is not None  # noqa: S101 - the command line has checked
        self._output, self._encoding = terminal.fileno(), terminal.encoding
        self._lock = threading.Lock()
        self._frames = 0  # that wait or are being written
        self._behind = False
        self._frame: list[str] | None = None
        self._loop_thread = threading.get_ident()
        self._leaving = False  # frames are no longer worth writing
        self._farewell: list[str] = []  # what is written while leaving
        self._cut = False  # the terminal may have received a part of a sequence
        self._gone = False
        self._suspending = False  # what is closed will be started again

    # -- frames -----------------------------------------------------------------------------------

    def takes_frame(self) -> bool:
        """Return whether another frame can be written; after False, `CaughtUp` follows when it can."""
        with self._lock:
            self._behind = self._behind or self._frames >= MAX_WAITING_FRAMES
            return not self._behind

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Collect all writes into one frame."""
        self._frame = []
        try:
            yield
        finally:
            data, self._frame = "".join(self._frame), None
            if data:
                with self._lock:
                    self._frames += 1
                self._writer.put(Job(partial(self._write_frame, data), needed=False))

    def resume_frames(self) -> None:
        """Accept frames again after `CaughtUp`; the next frame must repaint everything."""
        self._behind = False

    def write(self, data: str) -> None:
        # The thread that reads the input writes, too, but nothing of a frame.
        if self._frame is not None and threading.get_ident() == self._loop_thread:
            self._frame.append(data)
        else:
            if self._leaving:
                self._farewell.append(data)
            self._writer.put(Job(partial(self._write_kept, data), needed=False))

    # -- in the writer's thread -------------------------------------------------------------------

    def _write_frame(self, data: str) -> None:
        self._send(data, is_frame=True)
        with self._lock:
            self._frames -= 1
            caught_up = self._behind and not self._frames
        if caught_up:
            self._post(self.CaughtUp())

    def _write_kept(self, data: str) -> None:
        if self._cut:
            self._cut = False
            data = RESET_SEQUENCE + data
        self._send(data)

    def _send(self, data: str, *, is_frame: bool = False) -> None:
        left = memoryview(data.encode(self._encoding, "backslashreplace"))
        begun = False
        while left and not self._gone:
            if is_frame and self._leaving:
                self._cut = self._cut or begun
                return
            try:
                left = left[os.write(self._output, left[:WRITE_CHUNK_BYTES]) :]
                begun = True
                self._writer.progress += 1
            except BlockingIOError:  # another process that shares the terminal has made it non-blocking
                select.select([], [self._output], [], LEAVE_TIMEOUT_S)
            except OSError:
                self._lose()

    # -- a terminal that is lost --------------------------------------------------------------------

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            self._lose()
        except Exception as error:  # of our own code, or of Textual's
            self._post(self.Failed(error))

    def _look(self) -> None:
        """Poll for a hang-up: the kernel signals it only to processes of the controlling terminal."""
        looking = select.poll()
        looking.register(self.fileno, 0)
        if looking.poll(0):
            self._lose()
        elif not self._leaving:
            self._loop.call_later(ALIVE_CHECK_INTERVAL_S, self._look)

    def _lose(self) -> None:
        with self._lock:
            known, self._gone = self._gone, True
        if not known:
            self._post(self.Gone())

    def _post(self, message: Message) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._app.post_message, message)

    # -- start and end --------------------------------------------------------------------------

    def start_application_mode(self) -> None:
        self._leaving = self._behind = False
        self._farewell = []
        super().start_application_mode()  # type: ignore[no-untyped-call] # of Textual
        self._look()

    def stop_application_mode(self) -> None:
        self._leaving = True
        super().stop_application_mode()

    def suspend_application_mode(self) -> None:
        self._suspending = True
        try:
            super().suspend_application_mode()
        finally:
            self._suspending = False

    def close(self) -> None:
        """Wait briefly until the terminal is restored; else discard its pending output and retry."""
        if not self._suspending:
            # A rollout may go on without the console, and SIGCONT would start the driver again: its threads
            # would read what is typed for prompts, and never end.
            for number in (signal.SIGTSTP, signal.SIGCONT):
                signal.signal(number, signal.SIG_DFL)
        super().close()  # ends Textual's own writer, which had nothing to do
        if not self._gone and not self._all_written(0.0 if self._behind else LEAVE_TIMEOUT_S):
            self._empty()
            # The restoring sequences may have been discarded with the frames.
            self.write(RESET_SEQUENCE + "".join(self._farewell))
            self._all_written(LEAVE_TIMEOUT_S)

    def _all_written(self, seconds: float) -> bool:
        """Return whether all output is written within this time."""
        done = threading.Event()
        self._writer.put(Job(done.set, needed=False))
        return done.wait(seconds)

    def _empty(self) -> None:
        """Discard pending output, which is frames, and restart output that was stopped."""
        with suppress(termios.error):
            termios.tcflow(self._output, termios.TCOOFF)
            termios.tcflush(self._output, termios.TCOFLUSH)
            termios.tcflow(self._output, termios.TCOON)  # wakes the thread that waits to write
