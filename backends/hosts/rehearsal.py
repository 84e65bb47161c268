"""Finding out what would be sent to hosts: what only reads is run, and what changes something is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from backends.command import Command


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One command that a host was given; see `Host.run`."""

    host: object
    command: Command
    track: bool


_sent: ContextVar[list[Rehearsed] | None] = ContextVar("sent", default=None)


@contextmanager
def rehearsing() -> Iterator[list[Rehearsed]]:
    """Within, also in tasks started within, a recorded command is not run and succeeds without a word.

    Those that are not recorded only read (see `backends.hosts.execution.query`), and are run. Yields all of
    them, in their order.
    """
    found: list[Rehearsed] = []
    token = _sent.set(found)
    try:
        yield found
    finally:
        _sent.reset(token)


def rehearse(host: object, command: Command, *, track: bool) -> bool:
    """Whether this is a rehearsal, in which the command is noted now."""
    found = _sent.get()
    if found is None:
        return False
    found.append(Rehearsed(host, command, track))
    return True


def is_rehearsal() -> bool:
    return _sent.get() is not None
