"""A program in a pseudo terminal: its output, the times of it, and what happens if nobody reads it."""

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.terminal_screen import TerminalScreen

_TAIL = 65_536  # bytes of the output that are kept, for a word that is looked for or a reason to show
_END_SECONDS = 5.0
_LOOK_MS = 50


class Terminal:
    """Runs a program inside the block. A thread reads all that it writes as soon as it is there.

    Args:
        command: what to run.
        columns: width of the terminal.
        lines: height of the terminal.
        controlling: it is the program's controlling terminal, so that the kernel sends SIGHUP when it goes.
        environment: further variables.
    """

    def __init__(
        self,
        command: Sequence[str],
        columns: int,
        lines: int,
        *,
        controlling: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._command = [*(("setsid", "--ctty") if controlling else ()), *command]
        self._controlling = controlling
        self._columns, self._lines = columns, lines
        self._environment = environment or {}
        self._news = threading.Condition()
        self._tail = b""
        self._screen = TerminalScreen(columns, lines)
        self._total = 0
        self._last_at = 0.0
        self._ended = False
        self._gate = threading.Lock()  # whoever has it keeps the output from being read
        self._held = False  # it is kept so by `hold`
        self._gone = False

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self._name = os.ttyname(theirs)
        self.resize(self._columns, self._lines)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.started_at = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment | self._environment,
            start_new_session=not self._controlling,  # `setsid` makes one itself
        )
        os.close(theirs)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            # Of its group when it leads one, which a program that waits for `setsid` to end does not yet.
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.read_on()
        if not self._gone:
            self._reading.join(_END_SECONDS)
            os.close(self._ours)

    def _read(self) -> None:
        readable = select.poll()
        readable.register(self._ours, select.POLLIN)
        with contextlib.suppress(OSError):  # Linux says "input/output error" when the other end is closed
            while not self._gone:
                if not readable.poll(_LOOK_MS):
                    continue
                with self._gate:
                    if self._gone:
                        return
                    if not readable.poll(0):
                        continue
                    if not (chunk := os.read(self._ours, 65_536)):
                        break
                    now = time.perf_counter()
                    with self._news:
                        self._tail = (self._tail + chunk)[-_TAIL:]
                        self._screen.feed(chunk)
                        self._total += len(chunk)
                        self._last_at = now
                        self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    # -- what comes out ---------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Bytes so far."""
        return self._total

    @property
    def screen(self) -> str:
        """What is to be seen now."""
        with self._news:
            return self._screen.text

    @property
    def modes(self) -> frozenset[str]:
        """The private modes that are on now, such as `?1049`."""
        with self._news:
            return frozenset(self._screen.modes)

    def until(self, word: bytes, seconds: float) -> float:
        """Wait for a word; returns the seconds from the start of the program to its coming.

        Raises:
            TimeoutError: it did not come in time, or the program ended; with the end of what came instead.
        """
        with self._news:
            self._news.wait_for(lambda: word in self._tail or self._ended, seconds)
            if word not in self._tail:
                raise TimeoutError(f"no {word!r} within {seconds:g} s, but {self._tail[-2000:]!r}")
            return self._last_at - self.started_at

    @property
    def calls(self) -> list[str]:
        """See `TerminalScreen.calls`."""
        with self._news:
            return list(self._screen.calls)

    @property
    def unknown(self) -> list[str]:
        """Sequences that nobody writes: what half of one, or two in each other, look like."""
        with self._news:
            return list(self._screen.unknown)

    async def shows(self, *words: str, seconds: float = 30.0) -> None:
        """Wait until all of these are to be seen. Raises TimeoutError, with the screen."""
        deadline = time.monotonic() + seconds
        while not all(word in self.screen for word in words):
            if time.monotonic() > deadline or self._ended:
                raise TimeoutError(f"no {words} within {seconds:g} s, but\n{self.screen}")
            await asyncio.sleep(0.02)

    async def rests(self, seconds: float = 0.3) -> None:
        """Wait until nothing has come for a while."""
        before = -1
        while before != self._total:
            before = self._total
            await asyncio.sleep(seconds)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def resize(self, columns: int, lines: int) -> None:
        """The kernel tells the program."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        with self._news:
            self._screen.resize(columns, lines)

    def press(self, key: bytes, patience: float = 5.0) -> float:
        """Press a key while nothing is being painted; returns the seconds to the first byte after it.

        In the middle of a painting the rest of that would be taken for the answer.
        """
        while time.perf_counter() - self._last_at < 0.01:
            time.sleep(0.002)
        with self._news:
            before, pressed_at = self._total, time.perf_counter()
            self.type(key)
            if not self._news.wait_for(lambda: self._total > before, patience):
                raise TimeoutError(f"nothing within {patience:g} s after {key!r}")
            return self._last_at - pressed_at

    # -- a terminal that does not read ------------------------------------------------------------

    def hold(self) -> None:
        """Read nothing more, as an SSH connection that is stuck does."""
        if not self._held:
            self._gate.acquire()
            self._held = True

    def read_on(self) -> None:
        if self._held:  # else the lock is the reader's, which releases it itself
            self._held = False
            self._gate.release()

    def stop(self) -> None:
        """Stop the output in the kernel, as Ctrl-S does."""
        self._flow(termios.TCOOFF)

    def go_on(self) -> None:
        """As Ctrl-Q does."""
        self._flow(termios.TCOON)

    def _flow(self, action: int) -> None:
        side = os.open(self._name, os.O_RDWR | os.O_NOCTTY)
        try:
            termios.tcflow(side, action)
        finally:
            os.close(side)

    def hang_up(self) -> None:
        """The terminal goes for good, read or not."""
        self._gone = True
        self.read_on()
        self._reading.join()
        os.close(self._ours)

    async def ends(self, seconds: float = 30.0) -> int:
        """Wait for the program's end and, unless held, for all that it wrote; returns its exit code.

        Raises:
            TimeoutError: it did not end.
        """
        async with asyncio.timeout(seconds):
            while self._process.poll() is None:
                await asyncio.sleep(0.02)
        if not self._held and not self._gone:
            # Not for ever: output that is stopped, or whom the program has left behind, keeps it open.
            await asyncio.to_thread(self._reading.join, _END_SECONDS)
        return self._process.returncode

    # -- what it costs ----------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_stopped(self) -> bool:
        """By the shell, or whoever else has sent SIGSTOP."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def memory(self) -> tuple[float, float]:
        """Resident now and at most so far, in MB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in text.splitlines())
        now, most = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, most
