"""The lines of a running command: whatever a program writes, they are short, harmless and not too many."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import Unreachable
from backends.output_stream import MAX_LINE_CHARS, MAX_PENDING_LINES, LineSplitter, OutputStream, Pipes
from backends.text import is_visible


def split(*pieces: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.finish()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\r\n", ["one", "two"]),
        (b"no end", ["no end"]),
        (b"\n\n", ["", ""]),
        (b"\x1b[1;31mERROR\x1b[0m it\x1b[K\n", ["ERROR it"]),
        (b"\x1b]0;title\x07\x1b[2J\n", [r"\x1b]0;title\x07\x1b[2J"]),
        (b"a\tb\n", ["a       b"]),
        (b"10 %\r20 %\n", ["10 % 20 %"]),
        (b"\xff\xfe\x00\x9b\n", [r"��\x00�"]),
        ("left ‮ right\n".encode(), [r"left \u202e right"]),
        (b"x\x0b\x0cy\x1c\n", [r"x\x0b\x0cy\x1c"]),
    ],
)
def test_lines_are_harmless(data: bytes, lines: list[str]) -> None:
    assert split(data) == lines


def test_an_endless_line_is_cut_and_its_length_is_told() -> None:
    [line] = split(*[b"x" * 60_000] * 10, b"\n")
    assert line == "x" * MAX_LINE_CHARS + f"… ({600_000 - MAX_LINE_CHARS:,} more characters)"
    splitter = LineSplitter()
    for _ in range(1000):
        assert splitter.feed(b"y" * 60_000) == []
    assert len(splitter.finish()[0]) < 2 * MAX_LINE_CHARS
    [line] = split(b"\x1b" * 10_000)
    assert len(line) < 2 * MAX_LINE_CHARS
    [line] = split(b"\t" * 10_000)
    assert len(line) < 2 * MAX_LINE_CHARS


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_lines_are_the_same_however_the_output_arrives(pieces: Sequence[bytes]) -> None:
    whole = split(b"".join(pieces))
    assert split(*pieces) == whole
    assert all(map(is_visible, whole))


class Program:
    """Writes for ever, as fast as it is read; counts what was read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self, most_bytes: int) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        return b"line\n" * 100

    async def wait(self) -> int:
        return 0


async def test_a_program_that_writes_faster_than_it_is_read_has_to_wait() -> None:
    program, stream = Program(), OutputStream()
    pumping = asyncio.create_task(stream.pump(Pipes([program.read], program.wait)))
    for _ in range(100):
        await asyncio.sleep(0)
    waited = program.reads
    assert waited <= MAX_PENDING_LINES // 100 + 2
    assert 0 < len(await stream.read_lines()) <= MAX_PENDING_LINES
    for _ in range(100):
        await asyncio.sleep(0)
    assert program.reads > waited
    pumping.cancel()


async def test_the_end_has_the_exit_status_or_why_it_was_lost() -> None:
    data = [b"one\ntwo", b""]

    async def read(most_bytes: int) -> bytes:
        return data.pop(0)

    async def lost(most_bytes: int) -> bytes:
        raise Unreachable("web1", "the connection was lost")

    async def wait() -> int:
        return 3

    stream = OutputStream()
    await stream.pump(Pipes([read], wait))
    assert await stream.read_lines() == ["one", "two"]
    assert await stream.read_lines() == await stream.read_lines() == []
    assert (stream.exit_status, stream.problem, stream.last_line) == (3, "", "two")

    stream = OutputStream()
    await stream.pump(Pipes([lost], wait))
    assert await stream.read_lines() == []
    assert (stream.exit_status, stream.problem) == (None, "the connection was lost")
