"""This machine as a host: the same contract as over SSH, without SSH."""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import threading
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from typing import IO

from backends.command import CommandListener
from backends.errors import PermissionDenied, Unreachable
from backends.hosts.command_host import MAX_OUTPUT_BYTES, CommandHost
from backends.hosts.output import Capture
from backends.local_machine import login_environment
from backends.output_stream import GO, READ_BYTES, Pipes
from backends.shell import LocalShell, Shell, shell_words

END_TIMEOUT_S = 2.0  # for a command to end after its standard input was closed

_NOT_STARTED = {errno.ENOENT: 127, errno.EACCES: 126, errno.ENOEXEC: 126, errno.ENOTDIR: 127}
"""The exit status a shell gives for a command that cannot be started, as it would be over SSH."""


class LocalHost(CommandHost):
    """Runs commands here, each in a session of its own so that Ctrl-C does not reach it.

    Not with asyncio's own subprocesses: their transports kill the child when they are closed, and
    a command whose time is over must go on, exactly as it would on a remote host.
    """

    def __init__(
        self,
        name: str,
        *,
        sudo: bool = False,
        prefix: str = "",
        listener: CommandListener | None = None,
        max_output: int = MAX_OUTPUT_BYTES,
        environment: Callable[[], dict[str, str]] = login_environment,
    ) -> None:
        """See `CommandHost`; `environment` is that of each command as it is started."""
        super().__init__(name, sudo=sudo, prefix=prefix, listener=listener, max_output=max_output)
        self._environment = environment

    async def connect(self) -> None:
        """Do nothing: there is nothing to open."""

    async def close(self) -> None:
        """Do nothing: what still runs was left running on purpose."""

    async def open_unix(
        self, path: str, *, timeout: float = 10.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See `backends.protocols.Host.open_unix`."""
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.open_unix_connection(path)
        except PermissionError as error:
            raise PermissionDenied(self._name, f"{path}: permission denied") from error
        except TimeoutError as error:
            raise Unreachable(self._name, f"{path}: no answer within {timeout:g} s") from error
        except OSError as error:
            raise Unreachable(self._name, f"{path}: {error.strerror or error}") from error

    @contextlib.asynccontextmanager
    async def open_shell(self, term: str, columns: int, rows: int) -> AsyncIterator[Shell]:
        """See `backends.protocols.Host.open_shell`."""
        environment = {**self._environment(), "TERM": term}
        argv = shell_words(self._before) or (environment.get("SHELL") or "/bin/sh", "-l")
        yield LocalShell(argv, environment)

    @contextlib.asynccontextmanager
    async def _open_pipes(self, argv: Sequence[str]) -> AsyncIterator[Pipes]:
        pipe = subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=self._environment(),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
            )
        except OSError as error:
            raise Unreachable(self._name, f"cannot start it: {error.strerror}") from error
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin is not None  # noqa: S101 - for mypy, as those below: PIPE was asked for
        assert stdout is not None  # noqa: S101
        assert stderr is not None  # noqa: S101
        stdin.write(GO)

        async def wait() -> int:
            status = await process.wait()
            return status if status >= 0 else 128 - status

        try:
            yield Pipes((stdout.read, stderr.read), wait)
        finally:
            stdin.close()
            await _end(process)

    def _make_capture(self, track: bool, limit: int) -> Capture:
        return Capture(limit, ends=2, track=track)

    async def _execute(self, argv: Sequence[str], capture: Capture, timeout: float) -> None:
        try:
            process = _spawn(argv, self._environment())
        except OSError as error:
            if error.errno not in _NOT_STARTED:
                raise Unreachable(self._name, f"cannot start it: {error.strerror}") from error
            capture.feed(f"{argv[0]}: {error.strerror}\n".encode(), stderr=True)
            capture.exited(_NOT_STARTED[error.errno])
            return
        if not self._before:
            capture.pid = process.pid
        _reap(process, capture)
        async with contextlib.AsyncExitStack() as pipes:
            for pipe, stderr in ((process.stdout, False), (process.stderr, True)):
                assert pipe is not None  # noqa: S101 - for mypy: PIPE was asked for
                pipes.callback(pipe.close)
                await _read(pipe, _Output(capture, stderr=stderr), pipes)
            await self._await_end(capture, timeout)


class _Output(asyncio.Protocol):
    """One of the two output streams of a command."""

    def __init__(self, capture: Capture, *, stderr: bool) -> None:
        self._capture = capture
        self._stderr = stderr

    def data_received(self, data: bytes) -> None:
        self._capture.feed(data, stderr=self._stderr)

    def connection_lost(self, exc: Exception | None) -> None:
        self._capture.end_closed()


def _spawn(argv: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        env=environment,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


async def _end(process: Process) -> None:
    """Wait until a process whose standard input is closed has ended, and kill one that does not."""
    # Its output must be read on: what waits for room in a pipe does not notice anything else.
    ends = [asyncio.create_task(_discard(end)) for end in (process.stdout, process.stderr) if end is not None]
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter for what runs by sudo
            os.killpg(process.pid, signal.SIGKILL)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        # A child of it may keep the pipes open.
        process._transport.close()  # type: ignore[attr-defined] # asyncio has no other way


async def _discard(end: asyncio.StreamReader) -> None:
    while await end.read(READ_BYTES):
        pass


async def _read(pipe: IO[bytes], output: asyncio.Protocol, pipes: contextlib.AsyncExitStack) -> None:
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, pipe)
    pipes.callback(transport.close)


def _reap(process: subprocess.Popen[bytes], capture: Capture) -> None:
    """Wait for its end in a thread that may outlive the caller, as the process may."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        status = process.wait()
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody asks any more
            loop.call_soon_threadsafe(capture.exited, status if status >= 0 else 128 - status)

    threading.Thread(target=wait, name=f"wait for {process.pid}", daemon=True).start()
