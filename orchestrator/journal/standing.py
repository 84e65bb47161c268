"""How an entry stands: how it ended, or whether whoever has it still works."""

import os
import socket

from orchestrator.journal.entries import UNKNOWN, Entry

CLOCK_SET = 60.0  # seconds that a clock may have been set by since the entry was begun


def standing(entry: Entry) -> str:
    """Its result, or in words why it has none.

    "running" and "interrupted" are what an entry without an end is on the machine that wrote it. Whether a
    process of another one still runs cannot be seen from here: that is "no end". One that cannot be read is
    "unknown".
    """
    if entry.problem:
        return UNKNOWN
    if entry.ended is not None:
        return entry.result
    if entry.host != socket.gethostname():
        return "no end"
    return "running" if runs(entry.pid, entry.began) else "interrupted"


def runs(pid: int, since: float) -> bool:
    """Whether a process of this machine that was there at that time still is: a younger one is not it.

    Args:
        pid: its number.
        since: seconds since 1970.
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is there, and somebody else's
    started = _started(pid)
    return started is None or started <= since + CLOCK_SET


def _started(pid: int) -> float | None:
    """Seconds since 1970; None where the kernel does not say it in /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            # The name stands in parentheses and may hold anything; the 22nd field is counted from its end.
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        with open("/proc/stat", encoding="utf-8") as machine:
            boot = next(int(line.split()[1]) for line in machine if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return boot + ticks / os.sysconf("SC_CLK_TCK")
