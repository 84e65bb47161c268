"""What others have written, as values to work with: of the right types, in their ranges, not endless.

What is read in Consul may be anybody's. It is decoded here and nowhere else, and what does not fit is a
ValueError with a short text, whatever it is.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Annotated, TypeVar

import msgspec

from backends.text import shorten

T = TypeVar("T")

MAX_NAME_CHARS = 255
MAX_SHOWN_CHARS = 200  # characters of somebody else's value in a message
_LATEST = 32_503_680_000  # the year 3000 in seconds since 1970: what a clock can show
_LARGEST = 2**53  # what any reader of JSON keeps exactly, and SQLite can store

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Text = Annotated[str, msgspec.Meta(max_length=2_001)]
Time = Annotated[float, msgspec.Meta(ge=0, le=_LATEST)]
"""Seconds since 1970."""
ProcessId = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
Number = Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]


def decode(value: bytes, kind: type[T]) -> T:
    """From JSON.

    Raises:
        ValueError: it is no such value.
    """
    try:
        return msgspec.json.decode(value, type=kind)
    except RecursionError:
        raise ValueError("cannot be understood: it is nested too deeply") from None
    except ValueError as error:  # msgspec's own, and of bytes that are not UTF-8
        raise ValueError(f"cannot be understood: {shorten(str(error), MAX_SHOWN_CHARS)}") from None


def quoted(text: str) -> str:
    """Somebody else's text within a message of ours."""
    return shorten(ascii(text), MAX_SHOWN_CHARS)


def check_printable(what: str, text: str) -> None:
    """Raises ValueError: it could move a cursor, or reorder what stands beside it."""
    if not text.isprintable():
        raise ValueError(f"{what}: found {quoted(text)}, expected printable characters")


def check_amounts(value: object) -> None:
    """Everything that a value is made of, however deep, has a length or a range that can be worked with.

    Raises:
        ValueError: something has not.
    """
    if isinstance(value, str) and len(value) > 2_001:
        raise ValueError(f"found a text of {len(value)} characters, expected at most 2001")
    if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
        raise ValueError("found a number beyond 2**53")
    for part in _parts(value):
        check_amounts(part)


def _parts(value: object) -> Iterable[object]:
    """What a list, dict or struct is made of; nothing of what has no parts."""
    match value:
        case list() | tuple():
            return value
        case dict():
            return chain.from_iterable(value.items())
        case msgspec.Struct():
            return (getattr(value, field) for field in value.__struct_fields__)
        case _:
            return ()
