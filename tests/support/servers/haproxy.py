"""Real HAProxy processes for tests: every installed version, started on free ports.

A test takes `haproxy_binaries()` as parameters (marker `matrix`) and starts what it needs:

    async with running_haproxy(tmp_path, binary, SECTIONS) as haproxy:
        haproxy.socket   # unix socket, level admin
"""

import asyncio
import functools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.free_ports import free_port
from tests.support.processes import freeze

START_SECONDS = 60.0

GLOBAL = """\
global
    stats socket {folder}/admin.sock mode 600 level admin
    stats socket {folder}/operator.sock mode 600 level operator
    stats socket {folder}/user.sock mode 600 level user
    stats socket ipv4@127.0.0.1:{port} level admin
    stats timeout 10s
    hard-stop-after 2s
{lines}
"""
DEFAULTS = """\
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    timeout check 1s
"""


@functools.cache
def version_of(binary: Path) -> str:
    """The version as HAProxy itself says it, such as ``2.6.12-1+deb12u4``."""
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stdout
    return said.split("ersion ", 1)[1].split()[0]


@functools.cache
def haproxy_paths() -> tuple[Path, ...]:
    """One binary for each version found, oldest first.

    Looks at the PATH and the sbin folders, and at ``*/usr/sbin/haproxy`` under
    ROLLDECK_HAPROXY_DIR or ``~/.cache/haproxy``.
    """
    installed = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    beside = Path(os.environ.get("ROLLDECK_HAPROXY_DIR") or "~/.cache/haproxy").expanduser()
    found = [Path(installed)] if installed else []
    found += beside.glob("*/usr/sbin/haproxy")
    by_version = {series(path): path for path in reversed(found)}
    return tuple(by_version[key] for key in sorted(by_version, key=_numbers))


def series(binary: Path) -> str:
    """The first two numbers of the version: ``2.6``."""
    return ".".join(version_of(binary).split(".")[:2])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def haproxy_binaries() -> list[object]:
    """Parameters for a test that runs once for each version; skipped by name when there is none."""
    if not haproxy_paths():
        none = pytest.mark.skip(reason="no haproxy on this machine")
        return [pytest.param(Path("haproxy"), id="none", marks=[pytest.mark.matrix, none])]
    return [pytest.param(path, id=series(path), marks=pytest.mark.matrix) for path in haproxy_paths()]


def oldest_and_newest_haproxy() -> list[object]:
    """The same for a test that takes long: the versions between those two are for `make test-matrix`."""
    paths = haproxy_paths()
    marks = [pytest.mark.matrix, pytest.mark.long]
    between = [pytest.param(path, id=series(path), marks=marks) for path in paths[1:-1]]
    return [*haproxy_binaries()[:1], *between, *haproxy_binaries()[1:][-1:]]


def newest_haproxy() -> list[object]:
    """The same for a test that takes long, in a file that proves more with this version than with others."""
    marks = [pytest.mark.matrix, pytest.mark.long]
    older = [pytest.param(path, id=series(path), marks=marks) for path in haproxy_paths()[:-1]]
    return [*older, *haproxy_binaries()[-1:]]


async def _ask(path: Path, command: str) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(command.encode() + b"\n")
        writer.write_eof()  # a master socket says nothing before it sees the end
        async with asyncio.timeout(30):
            return (await reader.read(-1)).decode()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@dataclass(slots=True)
class RunningHaproxy:
    """One HAProxy in master-worker mode with its sockets."""

    binary: Path
    folder: Path
    port: int  # TCP stats socket, level admin
    process: subprocess.Popen[bytes]
    worker: int = 0  # process id of the current worker

    @property
    def socket(self) -> Path:
        return self.folder / "admin.sock"

    @property
    def operator_socket(self) -> Path:
        return self.folder / "operator.sock"

    @property
    def user_socket(self) -> Path:
        return self.folder / "user.sock"

    @property
    def master_socket(self) -> Path:
        return self.folder / "master.sock"

    @property
    def config(self) -> Path:
        return self.folder / "haproxy.cfg"

    @property
    def log(self) -> str:
        return (self.folder / "haproxy.log").read_text(errors="replace")

    async def ask(self, command: str) -> str:
        """Send one line to the admin socket, independent of the code that is tested."""
        return await _ask(self.socket, command)

    async def reload(self) -> None:
        """Replace the worker, as `systemctl reload haproxy` does, and wait for the new one."""
        self.process.send_signal(signal.SIGUSR2)
        await self.wait_for_worker(other_than=self.worker)

    async def wait_for_worker(self, other_than: int = 0) -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(f"HAProxy ended:\n{self.log}")
                with suppress(OSError, ValueError):
                    info = await self.ask("show info")
                    self.worker = int(info.split("\nPid: ", 1)[1].split()[0]) if info else 0
                    # A master that does not answer yet loses the signals sent to it.
                    ready = "master" in await _ask(self.master_socket, "show proc")
                    if ready and self.worker not in (0, other_than):
                        return
                await asyncio.sleep(0.02)

    def freeze(self) -> None:
        """Stop the worker where it stands: it accepts connections and says nothing."""
        freeze(self.worker)

    def thaw(self) -> None:
        os.kill(self.worker, signal.SIGCONT)

    def kill(self) -> None:
        """End master and workers at once; the socket files stay behind, as after a crash."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        # The worker is not our child: it is gone when its port is.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.005)


@asynccontextmanager
async def running_haproxy(
    folder: Path, binary: Path, sections: str, *, global_lines: str = "", defaults: str = DEFAULTS
) -> AsyncIterator[RunningHaproxy]:
    """Start HAProxy with these sections, wait until its sockets answer, and end it afterwards.

    Args:
        folder: an empty folder for configuration, sockets and log; its path should be short.
        binary: which HAProxy.
        sections: frontends, backends and more, as text of a configuration file.
        global_lines: more lines for the section ``global``.
        defaults: the section ``defaults``.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  (a test's own small folder)
    port = free_port()
    head = GLOBAL.format(folder=folder, port=port, lines=global_lines)
    (folder / "haproxy.cfg").write_text(f"{head}\n{defaults}\n{sections}\n")
    arguments: list[str | Path] = [
        binary,
        "-W",
        "-S",
        folder / "master.sock",
        "-f",
        folder / "haproxy.cfg",
    ]
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  (asyncio's would not survive a closed loop)
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    haproxy = RunningHaproxy(binary, folder, port, process)
    try:
        await haproxy.wait_for_worker()
        yield haproxy
    finally:
        haproxy.kill()
