"""A real HAProxy process in front of the demo's nodes.

``retries 0`` and no ``redispatch`` keep the demo honest. A HAProxy that retries would hide a request to a
node that has just been stopped; here the request is an error and counted as one. "0 failed" is therefore due
to the order of the upgrade's steps, and not to HAProxy's retries.
"""

import asyncio
import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BACKEND = "shop"
_LONGEST_SOCKET = 96  # bytes: the kernel allows 107, and HAProxy first binds PATH.PID.tmp

_CONFIGURATION = """\
# Written by Rolldeck's demo; HAProxy runs in the foreground (-db) and logs nothing.
global
    maxconn 2000
    stats socket {socket} mode 600 level admin expose-fd listeners
    stats socket ipv4@127.0.0.1:{admin_port} level admin
    stats timeout 10s

defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1h   # of websockets, instead of both
    retries 0   # no second try and no "option redispatch": a badly timed stop must show

frontend www
    bind 127.0.0.1:{port}
    default_backend shop

frontend statistics
    bind 127.0.0.1:{stats_port}
    stats enable
    stats uri /stats
    stats refresh 1s

"""

_BACKEND = """\
backend {name}
    balance roundrobin
    option httpchk GET /health
    default-server check inter {inter}ms rise {rise} fall {fall}
{lines}

"""


def search_path() -> str:
    """Return the PATH with Debian's folder for HAProxy, which a normal user does not have in it."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"


@dataclass(frozen=True, slots=True)
class Checks:
    """HAProxy's health checks: seconds between two, and how many turn a server up or down."""

    inter: float = 0.2
    rise: int = 2
    fall: int = 2


@dataclass(slots=True)
class HAProxy:
    """An instance: its configuration and its process."""

    name: str
    directory: Path
    port: int  # of the frontend
    stats_port: int
    admin_port: int  # the Runtime API over TCP
    environment: Mapping[str, str]
    executable: str = "haproxy"
    process: asyncio.subprocess.Process | None = None

    @property
    def socket(self) -> Path:
        """The Runtime API's unix socket, level admin."""
        return self.directory / f"{self.name}.sock"

    @property
    def file(self) -> Path:
        """The configuration file."""
        return self.directory / f"{self.name}.cfg"

    @property
    def pid(self) -> int:
        """Process id of the worker that was started last. Raises RuntimeError when none was."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process.pid

    def configure(
        self, servers: Mapping[str, int], checks: Checks, backends: Sequence[str] = (BACKEND,)
    ) -> None:
        """Write the configuration file.

        Args:
            servers: loopback port by server name.
            checks: health checks of all servers.
            backends: their names; each has all servers.

        Raises:
            ValueError: the socket's path is longer than HAProxy can bind.
        """
        if len(str(self.socket).encode()) > _LONGEST_SOCKET:
            raise ValueError(f"{self.socket}: too long for a unix socket, use a shorter directory")
        head = _CONFIGURATION.format(
            socket=self.socket, port=self.port, stats_port=self.stats_port, admin_port=self.admin_port
        )
        lines = "\n".join(f"    server {name} 127.0.0.1:{port}" for name, port in servers.items())
        sections = [
            _BACKEND.format(
                name=backend,
                inter=round(checks.inter * 1000),
                rise=checks.rise,
                fall=checks.fall,
                lines=lines,
            )
            for backend in backends
        ]
        self.file.write_text(head + "".join(sections))

    async def start(self, *options: str) -> None:
        """Start a worker and wait until it answers.

        Args:
            *options: further options of its command line.

        Raises:
            RuntimeError: it does not start or does not answer; with its own words.
        """
        log = self.directory / f"{self.name}.log"
        with log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                self.executable,
                "-db",
                "-f",
                str(self.file),
                *options,
                cwd=self.directory,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C on the terminal must not reach it
            )
        try:
            async with asyncio.timeout(60):
                while not await self._answers():  # noqa: ASYNC110 - it cannot tell us
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise RuntimeError(f"{self.name} does not answer:\n{log.read_text()}") from error

    async def _answers(self) -> bool:
        if self.process is not None and self.process.returncode is not None:
            log = (self.directory / f"{self.name}.log").read_text()
            raise RuntimeError(f"{self.name} did not start:\n{log}")
        try:
            return f"\nPid: {self.pid}\n" in await self.ask("show info")
        except OSError:
            return False

    async def ask(self, command: str) -> str:
        """Send one line to the Runtime API and return the raw reply. Raises OSError."""
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_unix_connection(self.socket)
            try:
                writer.write(command.encode() + b"\n")
                return (await reader.read()).decode()
            finally:
                writer.close()

    async def statuses(self, backend: str = BACKEND) -> dict[str, str]:
        """Each server's status in HAProxy's words: ``UP``, ``DOWN 1/2`` ... Raises OSError."""
        reply = await self.ask(f"show stat {backend} 4 -1")
        rows = csv.DictReader(reply.lstrip("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows}

    async def kill(self) -> None:
        """End it with SIGKILL: the socket's file stays, and nobody answers behind it."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
