"""Processes of this machine: what identifies one, and whether it still runs.

The number of a process is used again after its end, so its start belongs to its identity. The kernel counts
that in clock ticks since the boot, which stay the same when somebody sets the clock.
"""

import os
from pathlib import Path

CLOCK_TOLERANCE_S = 60.0  # seconds by which the clock may have been set, where only a time is known
_STATE, _STARTED = 0, 19  # the third and the 22nd field of /proc/PID/stat, counted from behind the name


def identify_machine() -> str:
    """Return what identifies the running kernel and its space of process ids; empty if unknown.

    A host name would not do: containers, and machines made from one image, may have the same.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def identify_process(pid: int) -> str:
    """Return what no other process with this number has: the machine, and when it was started.

    It is empty for a process that has ended, or if it is unknown.
    """
    fields = _read_fields(pid)
    return _identify(fields) if fields and not _has_ended(fields) else ""


def is_process_running(pid: int, process: str, since: float) -> bool:
    """Return whether a process of this machine still runs; one about which nothing is known does.

    Args:
        pid: its number.
        process: its identity, see `identify_process`; empty if that was not recorded.
        since: when it was there, in seconds since 1970; decides only where there is no identity.
    """
    if pid <= 0 or (process and not _is_of(process, identify_machine())):
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is there, and somebody else's
    fields = _read_fields(pid)
    if not fields:
        return True
    if _has_ended(fields):
        return False
    found = _identify(fields)
    if process and found:
        return process == found
    boot = _read_boot_time()
    uptime_s = int(fields[_STARTED]) / os.sysconf("SC_CLK_TCK")
    return boot is None or boot + uptime_s <= since + CLOCK_TOLERANCE_S


def _is_of(process: str, machine: str) -> bool:
    """Return whether a process may be one since this boot, also where those of other users are hidden."""
    return not machine or process.rpartition(" ")[0] == machine


def _identify(fields: list[str]) -> str:
    machine = identify_machine()
    return f"{machine} {fields[_STARTED]}" if machine else ""


def _has_ended(fields: list[str]) -> bool:
    """Return whether it has ended and only waits for its parent, which may be stopped, to notice that."""
    return fields[_STATE] in ("Z", "X")


def _read_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name; none where they cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            # The name is in parentheses and may contain anything.
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return []
    return fields if len(fields) > _STARTED and fields[_STARTED].isdecimal() else []


def _read_boot_time() -> float | None:
    """Return when the machine was started, by its clock of now, in seconds since 1970; None if unknown."""
    try:
        with open("/proc/stat", encoding="utf-8") as machine:
            return next(float(line.split()[1]) for line in machine if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
