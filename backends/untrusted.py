"""Checks of untrusted values: hosts and ports, text that is searched, and values that are decoded.

The ssh configuration of the operator may put host and user into a ProxyCommand, which a shell reads, and
asyncssh replaces `${NAME}` in it by the environment's. Addresses come from everybody who may write a key in
Consul, an inventory or HAProxy's configuration. So both are checked where they are read, and again where the
route to a host is determined. OpenSSH has done the same since 9.6.

What is read in Consul may have been written by anybody, too. It is decoded by `decode` and nowhere else, and
what does not fit is a ValueError with a short text, whatever it is.
"""

import contextlib
import ipaddress
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, TypeVar
from urllib.parse import SplitResult

import msgspec

from backends.errors import UnreadableReply
from backends.text import shorten

MAX_HOST_CHARS = 255  # a name of DNS has 253

_INERT = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*")


class NotInert(ValueError):
    """A host, user or port that cannot be used; the text says what was found and what was expected."""


def check_inert(text: str) -> str:
    """Return a host or user if no program reads anything else in it.

    Args:
        text: a name, an IPv4 address, or an IPv6 address without brackets, with or without a zone.

    Raises:
        NotInert: it is empty, too long, could be an option, or has other characters.
    """
    if len(text) <= MAX_HOST_CHARS and _INERT.fullmatch(text):
        return text
    raise NotInert(
        f"{text[:MAX_HOST_CHARS]!r} cannot be used: expected letters, digits and . _ : % -,"
        f" at most {MAX_HOST_CHARS}, and neither % nor - as the first"
    )


def is_address(text: str) -> bool:
    """Return whether it is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_port(port: int) -> int:
    """Return the port if it is one. Raises NotInert."""
    if 1 <= port <= 65535:
        return port
    raise NotInert(f"port {str(port)[:MAX_HOST_CHARS]} cannot be used: expected 1 to 65535")


def check_authority(url: SplitResult) -> None:
    """Check host and port of a URL that has a host. Raises NotInert."""
    check_inert(url_host(url))
    url_port(url)


def url_host(url: SplitResult) -> str:
    """Return the host as it was written: `hostname` lowers the case of an alias of ssh_config.

    Raises:
        NotInert: the text in brackets is not an IPv6 address.
    """
    host = url.netloc.rpartition("@")[2]
    if not host.startswith("["):
        return host.partition(":")[0]
    host = host[1:].partition("]")[0]
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise NotInert(f"{host!r}: expected an IPv6 address in brackets") from None
    return host


def url_port(url: SplitResult) -> int | None:
    """Return the port; None when there is none. Raises NotInert."""
    try:
        return None if url.port is None else check_port(url.port)
    except ValueError:
        raise NotInert("the port is not a number from 1 to 65535; an IPv6 address needs brackets") from None


MAX_CPU_S = 0.1  # for one search; an honest one takes a thousandth of that
# In characters: `re` checks for signals only every few thousand steps, and one may go through all of a text.
MAX_TEXT = 64 * 1024


class _OutOfTime(Exception):
    """Raised by the timer, wherever the search is."""


def search(pattern: str, text: str, flags: int = 0) -> re.Match[str] | None:
    """Search as `re.search` does, within a limit of time.

    The pattern is the operator's and may take for ever on the wrong text: ``version.*([0-9.]+)`` takes an
    hour on a megabyte that repeats "version"; ``(a+)+b`` never ends on thirty letters. Nothing else can run
    in the process meanwhile, in no thread either, and `re` knows no time-out. It does check for signals,
    though: a timer of the processor's time raises within it.

    Raises:
        UnreadableReply: the text is too long, or the search took too much of the processor's time.
    """
    if len(text) > MAX_TEXT:
        problem = f"{pattern!r} is searched in at most {MAX_TEXT:,} characters, and there are {len(text):,}"
        raise UnreadableReply("", problem)
    try:
        with _limit():
            return re.search(pattern, text, flags)
    except _OutOfTime:
        raise UnreadableReply("", f"{pattern!r} takes too long on what was said") from None


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread alone, in which all of Rolldeck's own loops run
        return
    armed = True

    def expire(*_: object) -> None:
        if armed:
            raise _OutOfTime

    # The handler stays, since a signal that comes late would end the process without one.
    signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU_S, MAX_CPU_S)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless it is empty or a regular expression with exactly one group."""
    if not pattern:
        return
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} has {groups} groups, expected one around the version")


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
    """Decode a value from JSON.

    Raises:
        ValueError: it is no such value.
    """
    try:
        return msgspec.json.decode(value, type=kind)
    except RecursionError:
        raise ValueError("cannot be understood: it is nested too deeply") from None
    except ValueError as error:  # msgspec's own, and of bytes that are not UTF-8
        raise ValueError(f"cannot be understood: {shorten(str(error), MAX_SHOWN_CHARS)}") from None


def quote(text: str) -> str:
    """Quote a text of somebody else's within a message of ours."""
    return shorten(ascii(text), MAX_SHOWN_CHARS)


def check_printable(what: str, text: str) -> None:
    """Raise ValueError for a text that could move a cursor, or reorder the text beside it."""
    if not text.isprintable():
        raise ValueError(f"{what}: found {quote(text)}, expected printable characters")


def check_amounts(value: object) -> None:
    """Check that all parts of a value, however deep, have a length or a range that can be worked with.

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
    """Return the parts of a list, dict or struct; nothing of what has no parts."""
    match value:
        case list() | tuple():
            return value
        case dict():
            return chain.from_iterable(value.items())
        case msgspec.Struct():
            return (getattr(value, field) for field in value.__struct_fields__)
        case _:
            return ()
