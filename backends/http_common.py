"""Code that all HTTP clients share: tokens, bodies of limited size, and errors as text."""

import asyncio
import errno
import os
import re
import ssl
import sys
from collections.abc import Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.util import find_spec
from typing import TYPE_CHECKING

from backends.errors import ConfigError, UnreadableReply
from backends.secrets import Secret

if TYPE_CHECKING:
    import httpx

if find_spec("sniffio") is None:
    # httpcore imports it six times in each request, and searching in vain is a third of what one costs.
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # so that its import fails at once

USER_AGENT = "rolldeck"
UNENCODED = {"Accept-Encoding": "identity"}
"""Headers of every request: a small compressed reply could unpack to any size. See `read_body`."""

_CHUNKS_PER_YIELD = 64  # chunks of a body, perhaps of a byte each, until other tasks may run

_TOKEN = re.compile(r"[\x21-\x7e]+")


def authorization_header(secret: Secret, what: str) -> str:
    """Return the value of an Authorization header with a bearer token.

    Args:
        secret: the token.
        what: its place in the configuration, for errors.

    Raises:
        ConfigError: it cannot be sent in a header; the library's own error would show it.
    """
    value = secret.reveal()
    if not _TOKEN.fullmatch(value):
        raise ConfigError("", what, "is not fit for a bearer token")
    return f"Bearer {value}"


def make_empty_cookies() -> CookieJar:
    """Return a jar that keeps and sends no cookies: a server could fill it without end."""
    return CookieJar(DefaultCookiePolicy(netscape=False, rfc2965=False))


@cache
def load_authorities(ca_file: str = "") -> ssl.SSLContext:
    """Return the certificate authorities of a file or, without one, of the system.

    Reading them takes 20 ms of CPU, so all clients share the context.


    Raises:
        OSError: the file cannot be used.
    """
    return ssl.create_default_context(cafile=ca_file or None)


async def read_body(target: str, reply: "httpx.Response", most_bytes: int) -> bytearray:
    """Read a body in chunks, and never more than `most_bytes`. The caller sets a time-out for all of it.

    Args:
        target: for the error.
        reply: a streamed one.
        most_bytes: the limit for the body.

    Raises:
        UnreadableReply: it is longer, or compressed.
    """
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnreadableReply(
            target, f"the reply is encoded as {encoding[:40]!r}, and only plain ones are read"
        )
    body = bytearray()
    chunks = 0
    async for chunk in reply.aiter_raw():
        body += chunk
        chunks += 1
        if len(body) > most_bytes:
            raise UnreadableReply(target, f"the reply is longer than {most_bytes:,} bytes")
        if chunks % _CHUNKS_PER_YIELD == 0:
            await asyncio.sleep(0)
    return body


def format_http_error(error: Exception) -> str:
    """Return the reason of an error, which is the innermost of the errors that httpx wraps around it."""
    causes = list(_find_causes(error))
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


def _find_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):  # one for each address of a name
            error = error.exceptions[0]
        else:
            error = error.__cause__ or error.__context__
