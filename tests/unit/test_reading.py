"""A command that prints for long ends soon after its reader has gone."""

import asyncio
import os
import sys

import pytest

from console.terminal import output
from console.terminal.output import all_readers_gone, reader_gone
from console.terminal.reading import run_while_read


async def test_work_ends_with_its_reader_although_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    cancelled = asyncio.Event()

    async def work() -> int:
        try:
            os.close(reading)
            return await asyncio.sleep(3600, 1)
        finally:
            cancelled.set()

    monkeypatch.setattr(output, "_gone", False)  # other tests may have lost both
    monkeypatch.setattr(output, "_mute", False)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert not reader_gone()
        assert await run_while_read(work()) is None
        assert cancelled.is_set()
        assert (reader_gone(), all_readers_gone()) == (True, False)
        monkeypatch.setattr(sys, "stderr", stream)
        assert all_readers_gone()


async def test_the_result_or_the_error_of_work_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise LookupError("odd")

    monkeypatch.setattr(output, "_gone", False)
    assert await run_while_read(asyncio.sleep(0, 7)) == 7
    with pytest.raises(LookupError, match="odd"):
        await run_while_read(fail())
