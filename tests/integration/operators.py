"""An operator who answers a question on a terminal."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from console.demo.stack import Stack
from tests.support.forks import Forked, fork
from tests.support.rollouts import Run


class Operator:
    """Reads what `rolldeck` says on standard error, and types on its standard input."""

    def __init__(self, process: Forked, keyboard: int) -> None:
        self.process = process
        self._keyboard = keyboard
        self._err = ""
        self._out = asyncio.create_task(self._read_out())

    async def _read_out(self) -> bytes:
        return await self.process.stdout.read()

    async def reads(self, words: str) -> None:
        """Wait until it has said this since the last answer. Raises TimeoutError."""
        async with asyncio.timeout(60):
            while words not in self._err:
                chunk = await self.process.stderr.read(4096)
                assert chunk, f"it ended without {words!r}: {self._err[-2000:]}"
                self._err += chunk.decode()

    def types(self, line: str) -> None:
        self._err = ""
        os.write(self._keyboard, f"{line}\n".encode())

    async def end(self) -> Run:
        """What it said since the last answer, and how it ended."""
        self._err += (await self.process.stderr.read()).decode()
        return Run(await self.process.wait(), (await self._out).decode(), self._err)


@asynccontextmanager
async def operator_of(stack: Stack, *arguments: str) -> AsyncIterator[Operator]:
    """Start the real command with a terminal to type on; one that is still there at the end is killed."""
    ours, theirs = pty.openpty()
    process = await fork("--config", str(stack.config_path), *arguments, stdin=theirs)
    os.close(theirs)
    made = Operator(process, ours)
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await made.end()
        os.close(ours)
