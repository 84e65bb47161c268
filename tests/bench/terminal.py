"""A program in a pseudo terminal, measured from outside: bytes, times, and what the kernel says of it."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_TAIL = 65_536  # bytes of the output that are kept, for a word that is looked for or a reason to show
_END_SECONDS = 5.0


class Terminal:
    """Runs a program inside the block. A thread reads all that it writes as soon as it is there.

    Args:
        command: what to run.
        columns: width of the terminal.
        lines: height of the terminal.
    """

    def __init__(self, command: Sequence[str], columns: int, lines: int) -> None:
        self._command = command
        self._size = struct.pack("HHHH", lines, columns, 0, 0)
        self._news = threading.Condition()
        self._tail = b""
        self._total = 0
        self._last_at = 0.0
        self._ended = False

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, self._size)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.started_at = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
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
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reading.join(_END_SECONDS)
        os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Linux says "input/output error" when the other end is closed
            while chunk := os.read(self._ours, 65_536):
                now = time.perf_counter()
                with self._news:
                    self._tail = (self._tail + chunk)[-_TAIL:]
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

    def press(self, key: bytes, patience: float = 5.0) -> float:
        """Press a key while nothing is being painted; returns the seconds to the first byte after it.

        In the middle of a painting the rest of that would be taken for the answer.
        """
        while time.perf_counter() - self._last_at < 0.01:
            time.sleep(0.002)
        with self._news:
            before, pressed_at = self._total, time.perf_counter()
            os.write(self._ours, key)
            if not self._news.wait_for(lambda: self._total > before, patience):
                raise TimeoutError(f"nothing within {patience:g} s after {key!r}")
            return self._last_at - pressed_at

    # -- what it costs ----------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory(self) -> tuple[float, float]:
        """Resident now and at most so far, in MB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in text.splitlines())
        now, most = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, most


@dataclass(frozen=True, slots=True)
class CpuLoad:
    """What processes took of one core, in per cent.

    Attributes:
        own: by each of them, with all of its threads.
        machine: by everything on this machine. Where others are busy too, the same work takes longer.
    """

    own: list[float]
    machine: float


def load(seconds: float, *pids: int) -> CpuLoad:
    """Wait so long, and see what these processes took meanwhile."""
    before, busy, begun = [_cpu(each) for each in pids], _busy(), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - begun
    own = [100 * (_cpu(pid) - first) / took for pid, first in zip(pids, before, strict=True)]
    return CpuLoad(own, 100 * (_busy() - busy) / took)


def _cpu(pid: int) -> float:
    """Seconds of processor time, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _busy() -> float:
    """Seconds of processor time since the machine began, on all cores."""
    first, _, _ = Path("/proc/stat").read_text().partition("\n")
    user, nice, system, _idle, _waiting, *interrupts = first.split()[1:]
    return sum(map(int, (user, nice, system, *interrupts[:2]))) / _TICKS
