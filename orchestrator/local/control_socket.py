"""The control socket of a running rollout: other processes of its user send requests to it.

It is a Unix socket in `run` beside the journal, which only its owner may open. Its name is free for the next
holder of the application's lock, who puts a new one in its place; a process that has lost its lock leaves the
new one alone. A socket to which nobody listens any more was left by a process that was killed.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

from backends.errors import RolldeckError, UnknownOutcome, Unreachable, UnreadableReply
from backends.file_trust import Untrusted, open_own_folder
from backends.local_files import identify_file, make_own_folder
from backends.untrusted import decode
from orchestrator.events.actor import Actor
from orchestrator.local.requests import (
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    ChangeLine,
    Line,
    Reply,
    decode_line,
)

READ_TIMEOUT_S = 5.0  # for a request to arrive as a whole
CONNECT_TIMEOUT_S = 5.0
REPLY_TIMEOUT_S = 15.0  # for a request that takes no work; the journal may be busy for some seconds
END_TIMEOUT_S = 1.0  # for the last replies
MAX_NAME_CHARS = 60  # of a socket; the whole path may have 107 bytes
BACKLOG = 64  # connections that wait to be accepted

Answer = Callable[[Line, Actor], Awaitable[Reply]]
"""Carries out a request and returns the reply."""


def socket_path(journal: Path, application: str) -> Path:
    """Return the path of the socket to the rollouts of an application with this journal."""
    name = quote(application, safe="")
    if len(name) > MAX_NAME_CHARS:
        name = hashlib.sha256(application.encode()).hexdigest()[:MAX_NAME_CHARS]
    return journal.parent / "run" / f"{name}.sock"


class SocketProblem(RolldeckError):
    """The control socket cannot be opened; the text has its path."""


class ControlSocket:
    """Listens for requests while a rollout holds the lock.

    Args:
        path: of the socket; its folder is made if it is missing.
        answer: carries out each request.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()  # of requests

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs.

        Raises:
            SocketProblem: it cannot be opened.
        """
        try:
            listener = self._bind()
        except OSError as error:
            raise SocketProblem(f"{self._path}: {_describe(error)}") from error
        inode = identify_file(self._path)
        server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_REQUEST_BYTES)
        try:
            yield
        finally:
            server.close()
            with contextlib.suppress(OSError):
                if inode is not None and identify_file(self._path) == inode:
                    self._path.unlink()
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=END_TIMEOUT_S)
                for task in late:
                    task.cancel()

    def _bind(self) -> socket.socket:
        """Bind it under a name that nobody knows, and only then put it in its place."""
        folder = make_own_folder(self._path.parent)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        name = f".{secrets.token_hex(8)}"
        try:
            with _short(self._path.parent, folder) as short:
                listener.bind(f"{short}/{name}")
            try:
                os.chmod(name, 0o600, dir_fd=folder)
                listener.listen(BACKLOG)
                os.rename(name, self._path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(name, dir_fd=folder)
                raise
        except BaseException:
            listener.close()
            raise
        finally:
            os.close(folder)
        return listener

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            reply = await self._read_and_answer(reader, writer)
            writer.write(msgspec.json.encode(reply) + b"\n")
            await writer.drain()
        except OSError:  # whoever asked is gone
            pass
        finally:
            writer.close()

    async def _read_and_answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Reply:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in (None, 0, os.geteuid()):
            return Reply(status="refused", text=f"uid {uid} may not control a rollout of uid {os.geteuid()}")
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                text = await reader.readline()
        except TimeoutError:
            return Reply(status="refused", text=f"no whole line came within {READ_TIMEOUT_S:g} s")
        except ValueError:
            return Reply(status="refused", text=f"a request has at most {MAX_REQUEST_BYTES:,} bytes")
        try:
            line = decode_line(text)
        except ValueError as error:
            return Reply(status="refused", text=str(error))
        sender = line.sender
        actor = Actor(sender.name, sender.via, -1 if uid is None else uid, sender.credential)
        return await self._answer(line, actor)


def peer_uid(connection: socket.socket) -> int | None:
    """Return the uid of the process at the other end; None where the kernel does not say it."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


async def send_line(path: Path, line: Line) -> Reply:
    """Send a request to the rollout that listens, and wait for its reply.

    A manual change takes as long as it takes: the rollout answers once it has read the servers back. Other
    requests are answered at once.

    Raises:
        BackendError: nobody listens, or the reply was lost or cannot be understood.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await _connect(path)
    except (OSError, TimeoutError) as error:
        raise Unreachable("the rollout", f"does not answer at {path}: {_describe(error)}") from None
    try:
        async with asyncio.timeout(None if isinstance(line, ChangeLine) else REPLY_TIMEOUT_S):
            writer.write(msgspec.json.encode(line) + b"\n")
            await writer.drain()
            text = await reader.readline()
    except TimeoutError:
        problem = f"no reply within {REPLY_TIMEOUT_S:g} s; it may still carry out the request"
        raise UnknownOutcome("the rollout", problem) from None
    except (OSError, ValueError) as error:
        raise UnknownOutcome("the rollout", f"its reply was lost: {_describe(error)}") from None
    finally:
        writer.close()
    if not text.endswith(b"\n"):
        raise UnknownOutcome("the rollout", "it ended before it replied")
    try:
        return decode(text, Reply)
    except ValueError as error:
        raise UnreadableReply("the rollout", f"its reply {error}") from None


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    folder = open_own_folder(path.parent)
    try:
        with _short(path.parent, folder) as short:
            return await asyncio.open_unix_connection(f"{short}/{path.name}", limit=MAX_REPLY_BYTES)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _short(folder: Path, file: int) -> Iterator[str]:
    """Give a folder a name that is short enough for the address of a socket in it."""
    through = f"/proc/self/fd/{file}"
    yield through if os.path.isdir(through) else str(folder)


def _describe(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, Untrusted):
        return str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
