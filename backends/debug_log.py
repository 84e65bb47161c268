"""A log of the exchanges that are no events, such as polls and health checks, for `rolldeck --debug`.

They go to a logger of the standard library, which drops them unless it is enabled: no adapter has to be given
a listener for them, and they cost nothing while nobody reads them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from backends.command import CommandFinished

WIRE = logging.getLogger("rolldeck.wire")
WIRE.propagate = False  # never to standard error

MAX_TEXT_CHARS = 4096  # of a command or a reply that are kept
_MAX_RAW_CHARS = (
    2 * MAX_TEXT_CHARS
)  # secrets are redacted in a longer text, so that none is cut in the middle
_redacting = ContextVar("redacting", default=False)


def log_exchange(target: str, command: str, reply: str | bytes | bytearray, ok: bool, seconds: float) -> None:
    """Log one exchange, with the fields of `backends.command.CommandFinished`."""
    if not WIRE.isEnabledFor(logging.DEBUG):
        return
    text = "(not kept)" if _redacting.get() else reply[:_MAX_RAW_CHARS]
    if not isinstance(text, str):
        text = text.decode(errors="replace")
    WIRE.debug(CommandFinished(target, command[:_MAX_RAW_CHARS], text, ok, round(seconds, 4)))


@contextmanager
def redacted() -> Iterator[None]:
    """Keep no reply of an exchange logged within: a configuration file has passwords in it."""
    token = _redacting.set(True)
    try:
        yield
    finally:
        _redacting.reset(token)
