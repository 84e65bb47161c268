"""What is said on the wire and is no event: polls, health checks. Only heard with `rolldeck --debug`.

It goes to a logger of the standard library, which drops it unless somebody has asked for it: so nothing has
to be handed down to whatever talks, and nothing is lost where nobody listens.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from backends.command import CommandFinished

WIRE = logging.getLogger("rolldeck.wire")
WIRE.propagate = False  # never to standard error

MOST = 4096  # characters of a command or a reply that are kept
_RAW = 2 * MOST  # secrets are taken out of more than that, so that none is cut in the middle
_private = ContextVar("private", default=False)


def heard(target: str, command: str, reply: str | bytes | bytearray, ok: bool, seconds: float) -> None:
    """Log one exchange, with the fields of `backends.command.CommandFinished`."""
    if not WIRE.isEnabledFor(logging.DEBUG):
        return
    said = "(not kept)" if _private.get() else reply[:_RAW]
    if not isinstance(said, str):
        said = said.decode(errors="replace")
    WIRE.debug(CommandFinished(target, command[:_RAW], said, ok, round(seconds, 4)))


@contextmanager
def private() -> Iterator[None]:
    """What is replied within is not kept: a configuration file has passwords in it."""
    token = _private.set(True)
    try:
        yield
    finally:
        _private.reset(token)
