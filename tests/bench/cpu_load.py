"""The CPU time of programs, as the kernel reports it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


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
    before, busy, begun = [_cpu(pid) for pid in pids], _busy(), time.perf_counter()
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
