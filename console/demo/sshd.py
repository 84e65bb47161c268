"""A host that SSH can reach: asyncssh's server, embedded, on a loopback port.

It has what the demo needs of sshd and nothing else: key authentication, commands run by ``sh -c`` in the
host's directory, a shell on a terminal, and forwarding to the unix sockets of the stack. There are no
passwords and no other forwarding. As with sshd, a command goes on when its connection is lost, and a shell
does not.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import asyncssh

_BLOCK = 65536
_CIPHER = "aes128-gcm@openssh.com"  # loopback needs none, and this one takes the least CPU


@dataclass(slots=True)
class SSHHost:
    """A host: its alias in ssh_config, where its commands run, and its server while it is up."""

    name: str
    port: int
    directory: Path  # working directory and HOME of its commands
    sockets: Path  # unix sockets below this directory may be connected to
    authorized_keys: Path
    environment: Mapping[str, str]  # of its commands, besides HOME
    known_host: str = ""  # its line of known_hosts
    _key: "asyncssh.SSHKey | None" = None
    _acceptor: "asyncssh.SSHAcceptor | None" = None
    _connections: "set[asyncssh.SSHServerConnection]" = field(default_factory=set)

    async def start(self) -> None:
        """Listen; the host key stays the same however often it is started. Raises OSError."""
        from backends.hosts.ssh_channels import asyncssh

        if self._key is None:
            self._key = asyncssh.generate_private_key("ssh-ed25519")
            public = self._key.export_public_key().decode().strip()
            self.known_host = f"[127.0.0.1]:{self.port} {public}"
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=self._session_factory(),
            server_host_keys=[self._key],
            authorized_client_keys=str(self.authorized_keys),
            process_factory=self._run,
            encoding=None,
            line_editor=False,  # the shell has one
            agent_forwarding=False,
            reuse_address=True,
            encryption_algs=[_CIPHER],
        )

    def _session_factory(self) -> "type[asyncssh.SSHServer]":
        from backends.hosts.ssh_channels import asyncssh

        host = self

        class Session(asyncssh.SSHServer):
            """Session that refuses whatever is not overridden here, which is asyncssh's default."""

            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self._connection = conn
                host._connections.add(conn)

            def connection_lost(self, exc: Exception | None) -> None:
                host._connections.discard(self._connection)

            def unix_connection_requested(
                self, dest_path: str
            ) -> "bool | Awaitable[asyncssh.SSHUNIXSession[bytes]]":
                if not Path(dest_path).resolve().is_relative_to(host.sockets):
                    return False
                return self._forward(dest_path)

            async def _forward(self, path: str) -> "asyncssh.SSHUNIXSession[bytes]":
                """Open the socket; asyncssh would leave it open if the connection is lost meanwhile."""
                forwarder = await self._connection.forward_unix_connection(path)
                if self._connection not in host._connections:
                    forwarder.close()
                return cast("asyncssh.SSHUNIXSession[bytes]", forwarder)  # as asyncssh does itself

        return Session

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        if process.term_type is not None:
            await self._run_shell(process, process.term_type)
            return
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            process.command or "exec sh",
            cwd=self.directory,
            env={**self.environment, "HOME": str(self.directory)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on the terminal must not reach the node's commands
        )
        feeding = asyncio.create_task(_feed(process, child))
        await asyncio.gather(
            _copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr), child.wait()
        )
        feeding.cancel()
        _end(process, await child.wait())

    async def _run_shell(self, process: "asyncssh.SSHServerProcess[bytes]", term: str) -> None:
        """Run a shell, or the command, on a terminal of its own."""
        shell = ("bash", "--norc", "--noprofile") if shutil.which("bash") else ("sh",)
        ours, theirs = os.openpty()
        try:
            child = await asyncio.create_subprocess_exec(
                "setsid",
                "--ctty",
                *(("sh", "-c", process.command) if process.command else shell),
                cwd=self.directory,
                env={**self.environment, "HOME": str(self.directory), "TERM": term, "PS1": f"{self.name}$ "},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
        finally:
            os.close(theirs)
        # Both are closed with the connection, which hangs up the shell.
        await process.redirect(stdin=ours, stdout=os.dup(ours))
        status = await child.wait()
        await process.stdout.drain()
        _end(process, status)
        await process.wait_closed()

    def drop(self) -> None:
        """Cut every connection without a message, as a broken network does. Commands go on."""
        for connection in tuple(self._connections):
            connection.abort()

    async def stop(self) -> None:
        """Close the port and cut every connection."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        connections = tuple(self._connections)
        self.drop()
        await asyncio.gather(*(connection.wait_closed() for connection in connections))


def _end(process: "asyncssh.SSHServerProcess[bytes]", status: int) -> None:
    if status >= 0:
        process.exit(status)
    else:  # as sshd does: a signal is no exit status
        process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", child: asyncio.subprocess.Process) -> None:
    """Pass standard input on until it ends, the connection is lost or nobody reads it."""
    from backends.hosts.ssh_channels import asyncssh

    if child.stdin is None:
        return
    try:
        while data := await process.stdin.read(_BLOCK):
            child.stdin.write(data)
            await child.stdin.drain()
    except (OSError, asyncssh.Error, asyncssh.SignalReceived, asyncssh.BreakReceived):
        pass
    finally:
        child.stdin.close()


async def _copy(source: asyncio.StreamReader | None, target: "asyncssh.SSHWriter[bytes]") -> None:
    """Pass output on; without a connection it is discarded, and the command goes on."""
    while source is not None and (data := await source.read(_BLOCK)):
        try:
            target.write(data)
            await target.drain()
        except OSError:
            continue
