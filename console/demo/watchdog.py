"""Ends everything that belongs to a stack, whatever became of the stack itself.

Every process of a stack carries the stack's directory in the environment variable `MARK`, and so
does all that such a process starts, however detached. `sweep` ends them by that mark (Linux: it
reads /proc).

As a program, ``python -S -E watchdog.py DIRECTORY`` waits for the end of its standard input and
then sweeps. The stack holds the other end of that pipe and never writes: the kernel closes it when
the stack's process ends, also by SIGKILL. The watchdog has a session of its own, so Ctrl-C and a
closed terminal do not reach it.
"""

import os
import signal
import sys
import time

MARK = "ROLLDECK_STACK"


def find_processes(directory: str) -> list[int]:
    """Process ids of what belongs to the stack in this directory; zombies are not listed."""
    wanted = f"{MARK}={directory}".encode()
    return [
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and wanted in _environment(name).split(b"\0")
    ]


def _environment(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:  # it has ended, or is another user's: none of ours
        return b""


def sweep(directory: str, timeout: float = 5.0) -> None:
    """Kill until two looks in a row, 20 ms apart, find nothing: a process may start another meanwhile.

    Args:
        directory: the stack's directory, exactly as its processes carry it.
        timeout: seconds after which it gives up.
    """
    deadline = time.monotonic() + timeout
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        found = find_processes(directory)
        quiet = 0 if found else quiet + 1
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
    _remove_sockets(directory)


def _remove_sockets(directory: str) -> None:
    for name in os.listdir(directory):
        if name.endswith(".sock"):
            os.unlink(os.path.join(directory, name))


def main() -> None:
    """Wait for the end of standard input, then sweep."""
    sys.stdin.buffer.read()
    sweep(sys.argv[1])


if __name__ == "__main__":
    main()
