"""A real Monit in the foreground, which monitors one small real application, for one test.

    with running_monit(tmp_path) as monit:
        MonitService(host, MonitSettings(name="shop", command=monit.command), {})

The application listens on `port`. Its `mode` is read at each of its starts: "normal", "stubborn"
(ignores SIGTERM) or "dies" (a second after it has begun to listen).
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.free_ports import free_port

needs_monit = pytest.mark.skipif(shutil.which("monit") is None, reason="monit is not installed")
CYCLE = 1  # seconds between two looks of Monit at the application
STOP_TIMEOUT = 2  # seconds until Monit gives up on a stop

# The lease ends every copy that is left when the test is over, whoever started it.
APPLICATION = """
import os, signal, socket, sys, time
folder, port = sys.argv[1], int(sys.argv[2])
mode = open(folder + "/mode").read()
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen()
listener.settimeout(0.1)
with open(folder + "/app.pid", "w") as file:
    file.write(str(os.getpid()))
end = time.monotonic() + 1.3 if mode == "dies" else float("inf")
while os.path.exists(folder + "/lease") and time.monotonic() < end:
    try:
        listener.accept()[0].close()
    except TimeoutError:
        pass
"""

# Collects whoever ends: Monit takes a zombie for a process that is still there, and not every
# machine has a first process that collects them at once.
REAPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, see prctl(2)
os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""

CONTROL = """\
set daemon {cycle}
set log {folder}/monit.log
set pidfile {folder}/monit.pid
set idfile {folder}/monit.id
set statefile {folder}/monit.state
set httpd unixsocket {folder}/m.sock allow localhost
check process "{name}" with pidfile {folder}/app.pid
  start program = "{folder}/start" with timeout 5 seconds
  stop program = "{folder}/stop" with timeout {stop_timeout} seconds
"""


@dataclass(slots=True)
class Monit:
    """A Monit that runs, or has been stopped by the test."""

    folder: Path
    port: int
    _pid: int | None = None
    _reaper: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> str:
        """What `MonitSettings.command` needs."""
        return f"monit -c {shlex.quote(str(self.folder / 'monitrc'))}"

    @property
    def log(self) -> str:
        file = self.folder / "monit.log"
        return file.read_text() if file.exists() else ""

    def mode(self, mode: str) -> None:
        """How the application behaves from its next start on."""
        (self.folder / "mode").write_text(mode)

    def application_pid(self) -> int:
        return int((self.folder / "app.pid").read_text())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to Monit itself: SIGSTOP makes it hang."""
        assert self._pid is not None
        os.kill(self._pid, number)

    def start(self) -> None:
        self._reaper = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", REAPER, *shlex.split(self.command), "-I"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_answer()
        self._pid = int((self.folder / "monit.pid").read_text())

    def stop(self) -> None:
        """End Monit and leave the application as it is."""
        if self._pid is None:
            return
        self.signal(signal.SIGKILL)  # asked politely it takes a second
        while Path(f"/proc/{self._pid}").exists():
            time.sleep(0.01)
        self._pid = None

    def close(self) -> None:
        """End everything."""
        self.stop()
        (self.folder / "lease").unlink()
        if self._reaper is not None:
            self._reaper.wait(10)

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 60
        while subprocess.run([*shlex.split(self.command), "status"], capture_output=True).returncode:
            assert time.monotonic() < deadline, f"monit does not answer: {self.log}"
            time.sleep(0.02)


@contextlib.contextmanager
def running_monit(folder: Path, *, name: str = "shop", more: str = "") -> Iterator[Monit]:
    """Run Monit, and with it the application called so, until the block ends.

    Args:
        folder: for all of its files.
        name: of the application.
        more: of the control file, behind the application.
    """
    monit = Monit(folder, free_port())
    monit.mode("normal")
    _write(folder, monit.port, name, more)
    try:
        monit.start()
        yield monit
    finally:
        monit.close()


def _write(folder: Path, port: int, name: str, more: str) -> None:
    (folder / "lease").touch()
    (folder / "app.py").write_text(APPLICATION)
    place = shlex.quote(str(folder))
    python = f"{shlex.quote(sys.executable)} -S -E {place}/app.py {place} {port}"
    _script(folder / "start", f"{python} </dev/null >/dev/null 2>&1 &")
    _script(folder / "stop", f'kill "$(cat {place}/app.pid)"')
    control = folder / "monitrc"
    control.touch(mode=0o600)  # Monit refuses one that others can read
    text = CONTROL.format(folder=folder, cycle=CYCLE, stop_timeout=STOP_TIMEOUT, name=name)
    control.write_text(text + more)


def _script(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o700)
