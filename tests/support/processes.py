"""Processes: those that are stopped by a signal, as on a machine that hangs, and those that read a file."""

import contextlib
import os
import signal
import time
from pathlib import Path


def freeze(pid: int) -> None:
    """Stop a process where it stands; returns when all of its threads have stopped."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    while any("\nState:\tT" not in (task / "status").read_text() for task in tasks.iterdir()):
        time.sleep(0.001)  # the signal is on its way to the other threads


def thaw(pid: int) -> None:
    """Let it go on, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def find_readers(path: Path) -> list[int]:
    """The processes that have a file open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found += [int(process.name) for fd in (process / "fd").iterdir() if fd.resolve() == path]
        except OSError:
            continue
    return found
