"""What all HTTP clients have in common: tokens, bounded bodies, and the reasons of their errors in words."""

import asyncio
import errno
import os
import re
import ssl
from collections.abc import Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

from backends.errors import ConfigError, Unmeasured
from backends.secrets import Secret

if TYPE_CHECKING:
    import httpx

AGENT = "rolldeck"
UNENCODED = {"Accept-Encoding": "identity"}
"""Goes with every request: a small compressed reply could unpack to any size. See `read_body`."""

_TURN = 64  # pieces of a body until something else may run: they may be a byte each

_TOKEN = re.compile(r"[\x21-\x7e]+")


def bearer(secret: Secret, what: str) -> str:
    """The value of an Authorization header.

    Args:
        secret: the token.
        what: its place in the configuration, for errors.

    Raises:
        ConfigError: it cannot stand in a header; the library's own error would show it.
    """
    value = secret.reveal()
    if not _TOKEN.fullmatch(value):
        raise ConfigError("", what, "is not fit for a bearer token")
    return f"Bearer {value}"


def no_cookies() -> CookieJar:
    """A jar that keeps and sends none: whoever answers could fill it without end."""
    return CookieJar(DefaultCookiePolicy(netscape=False, rfc2965=False))


@cache
def authorities(ca_file: str = "") -> ssl.SSLContext:
    """Those to trust: of a file, or the system's. Reading them takes 20 ms of CPU: all clients share it.

    Raises:
        OSError: the file cannot be used.
    """
    return ssl.create_default_context(cafile=ca_file or None)


async def read_body(target: str, reply: "httpx.Response", most_bytes: int) -> bytearray:
    """Read a body as it comes, never more than so many bytes. Whoever calls sets a time-out for all of it.

    Args:
        target: for the error.
        reply: a streamed one.
        most_bytes: of the body.

    Raises:
        Unmeasured: it is longer, or compressed.
    """
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Unmeasured(target, f"the reply is encoded as {encoding[:40]!r}, and only plain ones are read")
    body = bytearray()
    pieces = 0
    async for piece in reply.aiter_raw():
        body += piece
        pieces += 1
        if len(body) > most_bytes:
            raise Unmeasured(target, f"the reply is longer than {most_bytes:,} bytes")
        if pieces % _TURN == 0:
            await asyncio.sleep(0)
    return body


def in_words(error: Exception) -> str:
    """The reason, which stands at the bottom of what httpx wraps around it."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            known = cause.errno in errno.errorcode  # not so for the name resolution's own numbers
            text = os.strerror(cause.errno) if known else str(cause.strerror)
            return text[:1].lower() + text[1:]
    plain = next(cause for cause in causes if not isinstance(cause, BaseExceptionGroup))
    text = str(plain) or type(plain).__name__
    return text[:1].lower() + text[1:].rstrip(".")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):  # one for each address of a name
            error = error.exceptions[0]
        else:
            error = error.__cause__ or error.__context__
