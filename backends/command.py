"""Commands for hosts and load balancers, reports of their execution, and a log for `rolldeck --debug`.

The log contains exchanges that are not events, such as polls and health checks. They go to a logger of the
standard library, which drops them unless it is enabled. Adapters therefore need no listener for them, and
they cost nothing while the log is off.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a host, as an argument list; quoting is done once, by the host that runs it."""

    argv: tuple[str, ...]

    @classmethod
    def shell(cls, script: str) -> "Command":
        """Make the command of a POSIX shell script; values in it must have been quoted by its caller."""
        return cls(("sh", "-c", script))


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. Output beyond the host's limit is cut, with `truncated` set."""

    target: str
    command: str  # exactly what ran, quoted, ready to be repeated in a shell
    exit_status: int
    stdout: str
    stderr: str
    seconds: float
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_status == 0

    @property
    def last_line(self) -> str:
        """The last line of standard error or, where that is empty, of standard output."""
        text = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return text[-1].strip() if text else "(no output)"


@dataclass(frozen=True, slots=True)
class CommandSending:
    """A command that is about to be sent; it is reported before anything leaves this machine."""

    target: str
    command: str


@dataclass(frozen=True, slots=True)
class CommandStarted:
    """A command that runs on its host now, and may go on there when the connection is lost.

    Attributes:
        started: clock ticks after that machine's boot, so that no later process with the same id is taken
            for it; 0 where the kernel does not report it.
    """

    target: str
    command: str
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class CommandFinished:
    """A command and its raw reply, as the transcript shows them."""

    target: str
    command: str
    reply: str
    ok: bool
    seconds: float


CommandReport = CommandSending | CommandStarted | CommandFinished

CommandListener = Callable[[CommandReport], None]
"""Receives a report of each command before it is sent, one with its process id when a tracked command has
started, and one with its raw reply as soon as that has arrived or is known to be lost. When the listener
raises before a command is sent, nothing is sent."""


WIRE = logging.getLogger("rolldeck.wire")
WIRE.propagate = False  # never to standard error

MAX_TEXT_CHARS = 4096  # of a command or a reply that are kept
_MAX_RAW_CHARS = 2 * MAX_TEXT_CHARS  # secrets are redacted in a longer text, so that none is cut in two
_redacting = ContextVar("redacting", default=False)


def log_exchange(target: str, command: str, reply: str | bytes | bytearray, ok: bool, seconds: float) -> None:
    """Log one exchange, with the fields of `CommandFinished`."""
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
