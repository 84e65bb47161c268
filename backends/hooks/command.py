"""A hook that is a command on this machine: it reads JSON on standard input, and has a time limit."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.hooks.common import Moment
from backends.local_process import base_environment, own_session

MAX_ERROR_BYTES = 400  # of the end of its standard error
LINGER_S = 0.2  # how long its last output may take to arrive after its exit
MIN_REDACTED_CHARS = 6  # shorter values of variables are parts of many words

_VARIABLES = ("moment", "application", "version", "rollout", "node", "result")


@dataclass(frozen=True, slots=True)
class CommandHook:
    """Implements `backends.hooks.common.Hook`.

    Attributes:
        name: for people.
        on: the moments at which the hook is called.
        stops: whether the rollout stops when the hook fails.
        command: the command for /bin/sh; exit status 0 means that it does not object.
        timeout: seconds, after which the command is killed with its children.
        env: names of variables that it gets besides those of `backends.local_process.BASE`.
    """

    name: str
    on: Collection[Moment]
    stops: bool
    command: str
    timeout: float
    env: Collection[str] = ()

    async def fire(self, payload: bytes) -> None:
        """See `backends.hooks.common.Hook.fire`: Unreachable, UnknownOutcome (its time was over), Refused."""
        try:
            # A file instead of a pipe: a command that never reads its standard input blocks nobody.
            with tempfile.TemporaryFile() as stdin:
                stdin.write(payload + b"\n")
                stdin.seek(0)
                async with _error_pipe() as (reader, stderr):
                    await self._run(stdin, reader, stderr, variables(payload))
        except OSError as error:
            raise Unreachable(self.name, f"cannot be started: {error.strerror}") from error

    async def _run(
        self, stdin: IO[bytes], reader: "_LastLine", stderr: IO[bytes], values: dict[str, str]
    ) -> None:
        options: dict[str, Any] = {
            "stdin": stdin,
            "stdout": asyncio.subprocess.DEVNULL,
            "stderr": stderr,
            "env": base_environment(self.env) | values,
        }
        async with own_session("/bin/sh", "-c", self.command, **options) as process:
            stderr.close()
            try:
                async with asyncio.timeout(self.timeout):
                    status = await process.wait()
            except TimeoutError:
                problem = f"did not end within {self.timeout:g} s, and was killed"
                raise UnknownOutcome(self.name, problem) from None
        if status:
            reason = self._without_values(await reader.last())
            raise Refused(self.name, f"exit status {status}" + (f": {reason}" if reason else ""))

    def _without_values(self, text: str) -> str:
        """Redact the values of the variables, which are most likely tokens, for the journal."""
        for name in self.env:
            if len(value := os.environ.get(name, "")) >= MIN_REDACTED_CHARS:
                text = text.replace(value, "***")
        return text


def variables(payload: bytes) -> dict[str, str]:
    """Return fields of the payload as variables: ROLLDECK_MOMENT and so on, without empty ones."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
    values = {f"ROLLDECK_{name.upper()}": str(fields.get(name) or "") for name in _VARIABLES}
    return {name: value for name, value in values.items() if value and "\0" not in value}


class _LastLine(asyncio.Protocol):
    """Keeps the end of a command's standard error."""

    def __init__(self) -> None:
        self._kept = b""
        self._ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-MAX_ERROR_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()

    async def last(self) -> str:
        """Return the last line. A process left in the background may never close the pipe."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._ended.wait()
        lines = self._kept.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


@contextlib.asynccontextmanager
async def _error_pipe() -> AsyncIterator[tuple[_LastLine, IO[bytes]]]:
    """Open a pipe: with one of asyncio's, `wait` would wait for every process that holds it.

    Yields the reader, and the end for the command, which is closed here once the command has it.
    """
    read_end, write_end = (os.fdopen(end, mode, 0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with write_end:
        transport, reader = await asyncio.get_running_loop().connect_read_pipe(_LastLine, read_end)
        try:
            yield reader, write_end
        finally:
            transport.close()
