"""A hook that is a command of this machine: told on its standard input, and ended when its time is over."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.local_process import base_environment, own_session
from backends.protocols import Moment

MAX_WORDS = 400  # bytes of its last words that are kept
LINGER = 0.2  # seconds that its last words may need to arrive
SHORTEST = 6  # characters of a variable's value that is not repeated: shorter ones are in many words

_TOLD = ("moment", "application", "version", "rollout", "node", "result")


@dataclass(frozen=True, slots=True)
class CommandHook:
    """Implements `backends.protocols.Hook`.

    Attributes:
        name: for people.
        on: when it is told.
        stops: the rollout stops when it fails.
        command: for /bin/sh; exit status 0 is well.
        timeout: seconds; then it is killed, with its children.
        env: names of variables that it gets besides those of `backends.local_process.BASE`.
    """

    name: str
    on: Collection[Moment]
    stops: bool
    command: str
    timeout: float
    env: Collection[str] = ()

    async def fire(self, payload: bytes) -> None:
        """See `backends.protocols.Hook.fire`: Unreachable, UnknownOutcome (its time was over), Refused."""
        try:
            # A file, not a pipe: a command that never reads what it is told blocks nobody.
            with tempfile.TemporaryFile() as told:
                told.write(payload + b"\n")
                told.seek(0)
                async with _listening() as (words, stderr):
                    await self._run(told, words, stderr, variables(payload))
        except OSError as error:
            raise Unreachable(self.name, f"cannot be started: {error.strerror}") from error

    async def _run(
        self, told: IO[bytes], words: "_Words", stderr: IO[bytes], told_too: dict[str, str]
    ) -> None:
        options: dict[str, Any] = {
            "stdin": told,
            "stdout": asyncio.subprocess.DEVNULL,
            "stderr": stderr,
            "env": base_environment(self.env) | told_too,
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
            said = self._without_values(await words.last())
            raise Refused(self.name, f"exit status {status}" + (f": {said}" if said else ""))

    def _without_values(self, words: str) -> str:
        """What a variable was handed over with is most likely a token: it is not to be in the journal."""
        for name in self.env:
            if len(value := os.environ.get(name, "")) >= SHORTEST:
                words = words.replace(value, "***")
        return words


def variables(payload: bytes) -> dict[str, str]:
    """What a hook is told, as variables: ROLLDECK_MOMENT and so on, without those that would be empty."""
    try:
        told = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
    values = {f"ROLLDECK_{name.upper()}": str(told.get(name) or "") for name in _TOLD}
    return {name: value for name, value in values.items() if value and "\0" not in value}


class _Words(asyncio.Protocol):
    """The end of what a command says on standard error."""

    def __init__(self) -> None:
        self._kept = b""
        self._ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-MAX_WORDS:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()

    async def last(self) -> str:
        """Its last line. What it left running in the background may never close the pipe."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._ended.wait()
        lines = self._kept.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


@contextlib.asynccontextmanager
async def _listening() -> AsyncIterator[tuple[_Words, IO[bytes]]]:
    """A pipe of our own: asyncio's would keep `wait` waiting for whoever else holds it.

    Yields who listens, and the end for the command, to be closed here once that has it.
    """
    ear, mouth = (os.fdopen(end, mode, 0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with mouth:
        transport, words = await asyncio.get_running_loop().connect_read_pipe(_Words, ear)
        try:
            yield words, mouth
        finally:
            transport.close()
