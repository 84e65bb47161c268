"""A host that records the commands it was asked to run, and answers from a script."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from backends.command import Command, CommandResult
from backends.output_stream import OutputStream, Pipes
from backends.shell import LocalShell, Shell


@dataclass(frozen=True, slots=True)
class Answer:
    """How one command ends."""

    stdout: str = ""
    stderr: str = ""
    exit_status: int = 0
    truncated: bool = False


@dataclass(slots=True)
class ScriptedHost:
    """Implements Host; `answer` decides for each command, or raises what a real host would."""

    answer: Callable[[Command], Answer] = lambda _: Answer()
    name: str = "web1"
    refusal: Callable[[Command], str] = lambda _: ""  # of sudo
    lives: bool = False  # each process that is asked about
    ran: list[Command] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    tracked: list[Command] = field(default_factory=list)
    recorded: list[Command] = field(default_factory=list)

    def render(self, command: Command) -> str:
        return shlex.join(command.argv)

    async def connect(self) -> None: ...

    async def run(
        self,
        command: Command,
        *,
        timeout: float = 30.0,
        track: bool = False,
        record: bool = True,
    ) -> CommandResult:
        self.ran.append(command)
        self.timeouts.append(timeout)
        if track:
            self.tracked.append(command)
        if record:
            self.recorded.append(command)
        answer = self.answer(command)
        return CommandResult(
            target=self.name,
            command=self.render(command),
            exit_status=answer.exit_status,
            stdout=answer.stdout,
            stderr=answer.stderr,
            seconds=0.0,
            truncated=answer.truncated,
        )

    async def alive(self, pid: int, started: int = 0) -> bool:
        return self.lives

    async def sudo_refusal(self, command: Command, *, track: bool = False) -> str:
        return self.refusal(command)

    async def read_file(self, path: str, most_bytes: int) -> str:
        raise NotImplementedError

    async def open_unix(
        self, path: str, *, timeout: float = 10.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise NotImplementedError

    @asynccontextmanager
    async def stream(self, command: Command) -> AsyncIterator[OutputStream]:
        """Run it to its end at once; what it prints on both outputs is there then."""
        result = await self.run(command, record=False)
        data = [result.stdout.encode(), result.stderr.encode()]

        async def read(most_bytes: int, *, index: int) -> bytes:
            found, data[index] = data[index], b""
            return found

        async def wait() -> int:
            return result.exit_status

        stream = OutputStream()
        await stream.pump(Pipes([partial(read, index=index) for index in (0, 1)], wait))
        yield stream

    @asynccontextmanager
    async def open_shell(self, term: str, columns: int, rows: int) -> AsyncIterator[Shell]:
        yield LocalShell(("true",), {})

    async def close(self) -> None: ...
