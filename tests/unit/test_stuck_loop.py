"""Signals to a process whose event loop is stuck in a call of another language."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from console.exit_codes import ExitCode

STUCK = """
import asyncio, sqlite3, sys
from console import stuck_loop
from console.interrupts import interrupts
from console.sessions import listen_on

async def main():
    loop, handled = asyncio.get_running_loop(), asyncio.Event()
    with listen_on(loop, lambda _: handled.set()), stuck_loop.end_when_stuck(loop):
        print("ready", flush=True)
        await handled.wait()
        journal = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=600)
        print("writes", flush=True)
        journal.execute("BEGIN IMMEDIATE")

interrupts.catch()
interrupts.begin()
stuck_loop.ANSWER_TIMEOUT_S = float(sys.argv[2])
asyncio.run(main())
"""


def test_the_second_signal_that_finds_it_stuck_ends_it(tmp_path: Path) -> None:
    """Python does not even call a handler while SQLite waits, as for a lock or for a disk."""
    path, pipe = tmp_path / "journal.db", subprocess.PIPE
    command = [sys.executable, "-c", STUCK, str(path), "0.5"]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN EXCLUSIVE")
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                assert process.stdout.readline() == "ready\n"
                process.send_signal(signal.SIGTERM)
                assert process.stdout.readline() == "writes\n"
                for number, words in (
                    (signal.SIGTERM, "another signal ends it"),
                    (signal.SIGINT, "ended while"),
                ):
                    process.send_signal(signal.SIGHUP)  # a terminal that is closed sends it twice
                    process.send_signal(number)
                    assert words in process.stderr.readline()
                assert process.wait() == ExitCode.ABORTED
            finally:
                process.kill()
