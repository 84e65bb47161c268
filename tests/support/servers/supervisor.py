"""A real supervisord in the foreground, with programs of the test's own.

with running_supervisor(tmp_path, "[program:shop]\\ncommand=sleep 1000\\n") as supervisor:
    SupervisorService(host, SupervisorSettings(name="shop", command=supervisor.command), {})
"""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SUPERVISORD = Path("/usr/bin/supervisord")
needs_supervisor = pytest.mark.skipif(not SUPERVISORD.exists(), reason="no supervisord on this machine")

CONFIGURATION = """\
[unix_http_server]
file={folder}/s.sock
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock

{programs}"""


@dataclass(slots=True)
class Supervisor:
    """One that runs."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def command(self) -> str:
        """What `SupervisorSettings.command` needs."""
        return f"/usr/bin/supervisorctl -c {shlex.quote(str(self.folder / 'supervisord.conf'))}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to supervisord itself: SIGSTOP makes it hang."""
        os.kill(self.process.pid, number)

    def close(self) -> None:
        """End it, and first what it has started."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def running_supervisor(folder: Path, programs: str) -> Iterator[Supervisor]:
    """Run one with these sections of its configuration until the block ends; the folder's path is short."""
    file = folder / "supervisord.conf"
    file.write_text(CONFIGURATION.format(folder=folder, programs=programs))
    process = subprocess.Popen(
        [SUPERVISORD, "-n", "-c", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    supervisor = Supervisor(folder, process)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "s.sock").is_socket():
            assert process.poll() is None, f"supervisord has ended with {process.returncode}"
            assert time.monotonic() < deadline, (folder / "supervisord.log").read_text()
            time.sleep(0.02)
        yield supervisor
    finally:
        supervisor.close()
