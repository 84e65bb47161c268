"""How much is kept of texts that come from elsewhere: whoever sends them is not trusted to be brief."""

import asyncio
import codecs
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LARGE = 256 * 1024  # bytes or characters; from this size on, a text is read beside the event loop
MAX_DETAIL = 400  # characters of what a service manager or a registry says of one node
LAST_LINES = 5  # of what a service has written last
_PIECE = 256 * 1024  # bytes; some 3 ms


def shorten(text: str, most: int) -> str:
    """At most so many characters, and how long it was: ``the first words… (36,000,000 characters)``."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


async def run_beside(
    size: int, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function in a thread when the text that it is to read is large, so that no key waits for it."""
    if size < LARGE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def last_lines(text: str) -> tuple[str, ...]:
    """The last lines in which something is written, at most LAST_LINES, oldest first, none of them long."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return tuple(shorten(line, MAX_DETAIL) for line in lines[-LAST_LINES:])


def abridge(text: str, most: int) -> str:
    """The beginning and the end of what is longer, and between them how much there was."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… ({len(text):,} characters; the middle is left out)\n{text[-half:]}"


def decode(data: bytes | bytearray) -> str:
    """UTF-8 as text, in pieces: nothing else can run in the process while one is being decoded."""
    if len(data) <= _PIECE:
        return data.decode(errors="replace")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = [decoder.decode(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE)]
    return "".join((*pieces, decoder.decode(b"", final=True)))
