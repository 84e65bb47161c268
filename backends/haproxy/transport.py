"""Connections to the Runtime API: each carries one line, and its reply is read to the end."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from backends.command import CommandFinished, CommandListener, CommandSending, log_exchange
from backends.errors import BackendError, UnknownOutcome, Unreachable, UnreadableReply
from backends.haproxy.address import Address, SshAddress, TcpAddress, UnixAddress
from backends.text import decode, run_beside

_SEVERITY = re.compile(r"^\[[0-9]\]: ?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class WriteReply:
    """The reply to one line of commands, without severity numbers.

    Attributes:
        answers: one for each command; empty for a success.
        complete: the last one was not cut off.
    """

    answers: tuple[str, ...]
    complete: bool

    @classmethod
    def parse(cls, text: str) -> "WriteReply":
        """Split a reply: a success is a lone newline, a text ends with an empty line."""
        answers = []
        begin = 0
        while begin < len(text):
            if text.startswith("\n", begin):
                answers.append("")
                begin += 1
                continue
            end = text.find("\n\n", begin)
            answers.append(_SEVERITY.sub("", text[begin : end if end >= 0 else None]).strip())
            if end < 0:
                return cls(tuple(answers), complete=False)
            begin = end + 2
        return cls(tuple(answers), complete=True)

    @property
    def words(self) -> str:
        """The texts of all answers, on one line."""
        return "; ".join(" ".join(answer.split()) for answer in self.answers if answer)


def read_complete(received: bytes | bytearray, count: int) -> bool:
    """Return whether these bytes are the complete reply to `count` reads."""
    return received.endswith(b"\n\n") and received.count(b"\n\n") >= count


def write_complete(received: bytes | bytearray, count: int) -> bool:
    """Return whether these bytes are the complete reply to `count` writes."""
    if not received.endswith(b"\n"):
        return False
    replies = WriteReply.parse(received.decode(errors="replace"))
    return replies.complete and len(replies.answers) >= count


MAX_READ_REPLY_BYTES = 32 * 1024 * 1024  # 10,000 servers are 3.6 MB
MAX_WRITE_REPLY_BYTES = 64 * 1024  # a write returns nothing or a sentence; the help text is 10 kB
MAX_RECORDED_BYTES = 64 * 1024  # of a reply in the transcript
CHUNK_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 1.0
_QUOTED_BYTES = 200  # of a reply that is too long


class ByteReader(Protocol):
    """The part of asyncio's StreamReader and of asyncssh's SSHReader that is used."""

    async def read(self, n: int = -1, /) -> bytes: ...


class ByteWriter(Protocol):
    """The part of asyncio's StreamWriter and of asyncssh's SSHWriter that is used."""

    def write(self, data: bytes, /) -> None: ...
    def write_eof(self) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


_Lost = type[Unreachable] | type[UnknownOutcome]

Whole = Callable[[bytes | bytearray], bool]
"""Whether these bytes are already the whole answer, so that the end need not be waited for."""

Opener = Callable[[str], Awaitable[tuple[ByteReader, ByteWriter]]]
"""Opens a unix socket, by its path, on another machine."""


@dataclass(slots=True)
class Transport:
    """Sends lines to one HAProxy.

    Attributes:
        name: the instance's name, for errors and records.
        address: its socket.
        timeout: seconds to send, and again to answer.
        connect_timeout: seconds to connect; through SSH that includes the log-in. Default: `timeout`.
        concurrency: connections at once; HAProxy takes 10.
        open_unix: opens the socket of an `SshAddress`.
        listener: receives every write, and reads too when `record_reads`.
        record_reads: polls would fill a transcript with megabytes, so they are left out by default.
    """

    name: str
    address: Address
    timeout: float = 5.0
    connect_timeout: float | None = None
    concurrency: int = 4
    open_unix: Opener | None = None
    listener: CommandListener | None = None
    record_reads: bool = False
    _slots: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.concurrency)

    async def read(self, line: str, whole: Whole | None = None) -> str:
        """Send a line that changes nothing and return the whole reply.

        Args:
            line: what to send.
            whole: knows the end of the answer. Through SSH the end of the connection comes 40 ms
                later, as the server's Nagle algorithm waits for our delayed acknowledgement.

        Raises:
            Unreachable: no connection, or no complete answer in time.
            UnreadableReply: more than `MAX_READ_REPLY_BYTES`.
        """
        return await self._exchange(line, whole, self.record_reads, MAX_READ_REPLY_BYTES, lost=Unreachable)

    async def write(self, line: str, whole: Whole | None = None) -> str:
        """Send a line that may change something and return the whole reply.

        Args:
            line: what to send.
            whole: see `read`.

        Raises:
            Unreachable: it was never sent.
            UnknownOutcome: it was sent, but the answer was lost, or is longer than `MAX_WRITE_REPLY_BYTES`.
        """
        try:
            return await self._exchange(line, whole, True, MAX_WRITE_REPLY_BYTES, lost=UnknownOutcome)
        except UnreadableReply as error:
            raise UnknownOutcome(self.name, error.problem) from None

    async def _exchange(
        self, line: str, whole: Whole | None, record: bool, most_bytes: int, lost: _Lost
    ) -> str:
        async with self._slots:
            if record and self.listener is not None:
                self.listener(CommandSending(self.name, line))
            started = time.monotonic()
            received = bytearray()
            answered = False
            try:
                await self._send_and_receive(line, received, whole, most_bytes, lost)
                answered = True
            finally:
                seconds = time.monotonic() - started
                if not record:
                    log_exchange(self.name, line, received, answered, seconds)
                elif self.listener is not None:
                    self.listener(
                        CommandFinished(self.name, line, _format_reply(received), answered, seconds)
                    )
        return await run_beside(len(received), decode, received)

    async def _send_and_receive(
        self, line: str, received: bytearray, whole: Whole | None, most_bytes: int, lost: _Lost
    ) -> None:
        reader, writer = await self._connect()
        # asyncssh's errors have a tree of their own, and importing it costs half a second: hence
        # the wide `except`. From the first byte on, the line may have been carried out.
        try:
            async with asyncio.timeout(self.timeout):
                writer.write(line.encode() + b"\n")
                writer.write_eof()  # a master socket says nothing before it sees the end
                await writer.drain()
            async with asyncio.timeout(self.timeout):
                await self._receive(reader, received, whole, most_bytes)
        except TimeoutError:
            problem = f"no complete answer within {self.timeout:g} s"
            raise lost(self.name, problem) from None
        except BackendError:
            raise
        except Exception as error:
            raise lost(self.name, f"connection lost: {_format_error(error)}") from error
        finally:
            await _close(writer)

    async def _receive(
        self, reader: ByteReader, received: bytearray, whole: Whole | None, most_bytes: int
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            received += chunk
            if len(received) > most_bytes:
                begins = received[:_QUOTED_BYTES].decode(errors="replace")
                raise UnreadableReply(
                    self.name, f"the reply is longer than {most_bytes:,} bytes; it begins with {begins!r}"
                )
            if whole is not None and whole(received):
                return

    async def _connect(self) -> tuple[ByteReader, ByteWriter]:
        limit = self.connect_timeout or self.timeout
        try:
            async with asyncio.timeout(limit):
                return await self._open()
        except TimeoutError:
            problem = f"{self._where()}: no connection within {limit:g} s"
            raise Unreachable(self.name, problem) from None
        except BackendError:
            raise
        except Exception as error:
            raise Unreachable(self.name, f"{self._where()}: {_format_error(error)}") from error

    async def _open(self) -> tuple[ByteReader, ByteWriter]:
        match self.address:
            case UnixAddress(path):
                return await asyncio.open_unix_connection(path)
            case TcpAddress(host, port):
                return await asyncio.open_connection(host, port)
            case SshAddress(path=path) if self.open_unix is not None:
                return await self.open_unix(path)
        raise Unreachable(self.name, "a socket over SSH needs an SSH host to open it")

    def _where(self) -> str:
        match self.address:
            case UnixAddress(path):
                return path
            case TcpAddress(host, port):
                return f"{host}:{port}"
            case SshAddress(host=host, path=path):
                return f"{path} on {host}"


def _format_reply(received: bytearray) -> str:
    """Return a reply for the transcript, with its length and a mark where it is cut."""
    if len(received) <= MAX_RECORDED_BYTES:
        return received.decode(errors="replace")
    return f"{received[:MAX_RECORDED_BYTES].decode(errors='replace')}… ({len(received):,} bytes or more)"


async def _close(writer: ByteWriter) -> None:
    # The answer is complete or lost by now: how the connection ends cannot change that.
    with suppress(Exception):
        writer.close()
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await writer.wait_closed()


def _format_error(error: Exception) -> str:
    """Return the plain reason, such as "No such file or directory", without number and file name."""
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
