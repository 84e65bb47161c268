"""Commands for hosts and load balancers, and what is reported of each before, while and after it runs."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a host, as an argument list; quoting is done once, by the host that runs it."""

    argv: tuple[str, ...]

    @classmethod
    def shell(cls, script: str) -> "Command":
        """A POSIX shell script; values in it must have been quoted by whoever built it."""
        return cls(("sh", "-c", script))


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. Output beyond the host's limit is cut, with `truncated` set."""

    target: str
    command: str  # exactly what ran, quoted, ready to be repeated by hand
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
            for it; 0 where the kernel does not tell.
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
