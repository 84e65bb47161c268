"""What all HTTP clients have in common: tokens, and the reasons of their errors in words."""

import errno
import os
import re
import ssl
from collections.abc import Iterator

from backends.errors import ConfigError
from backends.secret import Secret

AGENT = "rolldeck"

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
