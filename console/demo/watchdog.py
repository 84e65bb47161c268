"""The watchdog of a stack: it ends all of its processes, whatever happens to the stack itself.

Every process of a stack has the stack's directory in the environment variable `MARK`, and so has every
process that it starts, however detached. `sweep` finds them by this mark (on Linux, in /proc) and kills them.

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
    """Return the ids of all processes of the stack in this directory, without zombies."""
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
    except OSError:  # it has ended, or belongs to another user
        return b""


def sweep(directory: str, timeout: float = 5.0) -> None:
    """Kill processes until two searches in a row, 20 ms apart, find none: one may start another meanwhile.

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
