"""A host reached over SSH by one connection, which is opened when needed, kept, and reopened when lost.

asyncssh costs a third of a second to import, so everything that needs it is imported late.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from backends.command import CommandListener
from backends.errors import BackendError, PermissionDenied, Refused, UnknownOutcome, Unreachable
from backends.hosts.command_host import CommandHost
from backends.hosts.output import Capture
from backends.hosts.ssh_settings import SshSettings
from backends.output_stream import GO, Pipes
from backends.shell import RemoteShell, Shell, shell_words

if TYPE_CHECKING:
    from backends.hosts.ssh_channels import CommandSession, RemoteProcess
    from backends.hosts.ssh_connect import Link


START_TIMEOUT_S = 10.0  # for a stream or a shell to be started

_RETRY_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between requests for a session, until the last one fails."""


class SshHost(CommandHost):
    """Runs commands over one SSH connection; the user's login shell there must be a POSIX one."""

    def __init__(
        self,
        name: str,
        address: str,
        settings: SshSettings,
        *,
        sudo: bool = False,
        prefix: str = "",
        listener: CommandListener | None = None,
        connecting: asyncio.Semaphore | None = None,
    ) -> None:
        """Describe a host, to which the first command connects.

        Args:
            name: the node's name in the configuration.
            address: host name, address, or a `Host` of the ssh configuration.
            settings: how to get there.
            sudo: see `CommandHost`.
            prefix: see `CommandHost`.
            listener: see `CommandHost`.
            connecting: shared by many hosts, bounds how many of them log in at the same time.
        """
        super().__init__(name, sudo=sudo, prefix=prefix, listener=listener, max_output=settings.max_output)
        self._address = address
        self._settings = settings
        self._connecting = connecting or nullcontext()
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._attempts = 0
        self._failure: BackendError | None = None

    async def connect(self) -> None:
        """Open the connection if it is not open. Raises Unreachable, HostKeyError."""
        await self._open_link()

    async def close(self) -> None:
        """Close the connection; commands still running there go on."""
        async with self._lock:
            link, self._link = self._link, None
        if link:
            await link.close()

    async def open_unix(
        self, path: str, *, timeout: float = 10.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See `backends.protocols.Host.open_unix`. sudo and prefix do not apply to the login user."""
        from backends.hosts.ssh_channels import StreamSession, asyncssh

        link = await self._open_link()
        session = StreamSession()
        try:
            async with asyncio.timeout(timeout):
                await link.connection.create_unix_connection(lambda: session, path)
        except TimeoutError as error:
            raise Unreachable(self._name, f"{path}: no answer within {timeout:g} s") from error
        except (asyncssh.Error, OSError) as error:
            raise await self._explain_socket_error(path, str(error)) from error
        return session.streams()

    @asynccontextmanager
    async def open_shell(self, term: str, columns: int, rows: int) -> AsyncIterator[Shell]:
        """See `backends.protocols.Host.open_shell`."""
        words = shell_words(self._before)
        process = await self._open_process(shlex.join(words) if words else None, (term, columns, rows))
        try:
            yield RemoteShell(process)
        finally:
            process.close()

    @asynccontextmanager
    async def _open_pipes(self, argv: Sequence[str]) -> AsyncIterator[Pipes]:
        process = await self._open_process(shlex.join(argv))
        process.write(GO)
        try:
            yield process.pipes
        finally:
            process.close()

    async def _open_process(
        self, line: str | None, terminal: tuple[str, int, int] | None = None
    ) -> "RemoteProcess":
        """Start what goes on for long. It is none of the sessions that `concurrency` is for.

        Raises:
            Unreachable: it was not started; sshd may allow no more sessions (MaxSessions).
        """
        from backends.hosts.ssh_channels import open_process

        link = await self._open_link()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                return await open_process(self._name, link.connection, line, terminal)
        except TimeoutError as error:
            raise Unreachable(self._name, f"no answer within {START_TIMEOUT_S:g} s") from error

    async def _execute(self, argv: Sequence[str], capture: Capture, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._slots.acquire()
        except TimeoutError as error:
            most = self._settings.concurrency
            busy = "the only session is busy" if most == 1 else f"all {most} sessions are busy"
            raise Unreachable(self._name, f"{busy}; nothing was sent") from error
        try:
            await self._start_and_await(shlex.join(argv), capture, timeout)
        finally:
            self._slots.release()

    async def _start_and_await(self, line: str, capture: Capture, timeout: float) -> None:
        from backends.hosts.ssh_channels import CommandSession

        session = CommandSession(capture)
        try:
            await self._start(session, line, timeout)
            await self._await_end(capture, timeout)
        finally:
            if session.channel:
                session.channel.abort()

    async def _start(self, session: "CommandSession", line: str, timeout: float) -> None:
        """Start a command, and retry only if it certainly was not started, so that nothing happens twice.

        sshd refuses a session while those that have just ended still count against MaxSessions,
        and a connection may have been lost some time ago without anybody noticing.
        """
        for pause in (*_RETRY_PAUSES_S, None):
            link = await self._open_link()
            try:
                return await self._request(link, session, line, timeout)
            except _NotStarted as error:
                if pause is None:
                    raise Unreachable(self._name, f"nothing was sent: {error}") from error
            await asyncio.sleep(pause)

    async def _request(self, link: "Link", session: "CommandSession", line: str, timeout: float) -> None:
        from backends.hosts.ssh_channels import asyncssh

        try:
            async with asyncio.timeout(timeout):
                channel, _ = await link.connection.create_session(
                    lambda: session, line, encoding=None, request_pty=False, x11_forwarding=False
                )
                channel.write_eof()
        except (asyncssh.Error, OSError) as error:  # TimeoutError is an OSError
            late = isinstance(error, TimeoutError)
            reason = f"no answer within {timeout:g} s" if late else str(error)
            if session.channel and (late or link.closed):
                problem = f"lost while it was being started ({reason}); it may be running"
                raise UnknownOutcome(self._name, problem) from error
            if session.channel or late:
                raise Unreachable(self._name, f"it was not started: {reason}") from error
            raise _NotStarted(reason) from error

    async def _open_link(self) -> "Link":
        """Return the open connection; calls during its opening share the outcome."""
        from backends.hosts.ssh_connect import dial

        if self._link and not self._link.closed:
            return self._link
        attempts = self._attempts
        async with self._lock:
            if self._link and not self._link.closed:
                return self._link
            if self._failure and attempts != self._attempts:
                raise self._failure
            self._failure = None
            try:
                async with self._connecting:
                    self._link = await dial(self._name, self._address, self._settings)
            except BackendError as error:
                self._failure = error
                raise
            finally:
                self._attempts += 1
            return self._link

    async def _explain_socket_error(self, path: str, message: str) -> BackendError:
        """Find out why a socket could not be opened, which sshd does not report."""
        quoted = shlex.quote(path)
        script = f"test -e {quoted} || echo missing; test -w {quoted} || echo denied"
        capture = Capture(1024)
        try:
            await self._start_and_await(f"sh -c {shlex.quote(script)}", capture, 10)
        except (Unreachable, UnknownOutcome):
            return Unreachable(self._name, f"{path}: {message}")
        match capture.stdout.split():
            case []:
                problem = "nothing listens there, or sshd forbids it (AllowStreamLocalForwarding)"
                return Unreachable(self._name, f"{path}: {problem}")
            case ["denied"]:
                return PermissionDenied(self._name, f"{path}: permission denied ({message})")
            case ["missing", *_]:
                return Unreachable(self._name, f"{path}: no such socket ({message})")
        return Refused(self._name, f"{path}: {message}")


class _NotStarted(Exception):
    """The command was certainly not started."""
