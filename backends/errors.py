"""Every error that the core raises on purpose.

RolldeckError
├── ConfigError          a file, a key in it, what was found and what was expected
└── BackendError         something outside did not do as asked; `target` says which
    ├── Unreachable      no request was sent: refused, timed out, no such socket
    │   └── HostKeyError     the host's SSH key is unknown or has changed
    ├── UnknownOutcome   the answer was lost: what was requested may or may not have happened
    ├── Refused          the answer was no (HAProxy's text, a non-zero exit status)
    │   ├── NotAsked         nothing was sent, because something forbids it
    │   │   └── Busy             something else is under way there and will end: a retry may help
    │   └── PermissionDenied the level of the socket or the rights of the user are too low
    └── UnreadableReply  answered, but the answer cannot be understood

The difference between them decides what happens next: after `Refused` nothing has changed, after
`UnknownOutcome` the state must be read before anything else is sent, and no error ever counts as a pass.
"""

from backends.text import shorten

MAX_PROBLEM = 2_000
"""Characters of a problem: the other side's own words are in it, and may be megabytes."""


class RolldeckError(Exception):
    """Base of all; its text is fit for an operator to read."""

    def beside(self, name: str) -> str:
        """The text where this name stands before it already, so that it is not said twice."""
        return str(self)


class ConfigError(RolldeckError):
    """The configuration cannot be used.

    Attributes:
        file: the file it stands in, or where it came from.
        key: the path of the key, such as ``apps.shop.rollout.serial``; empty when it is the whole file.
        problem: what was found and what was expected.
    """

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        self.problem = shorten(problem, MAX_PROBLEM)
        super().__init__(": ".join(part for part in (file, key, self.problem) if part))


class BackendError(RolldeckError):
    """Something outside did not do as asked.

    Attributes:
        target: the load balancer or host concerned, by its name in the configuration.
        problem: what happened, with the other side's own words where there are any; see `MAX_PROBLEM`.
    """

    def __init__(self, target: str, problem: str) -> None:
        self.target = target
        self.problem = shorten(problem, MAX_PROBLEM)
        super().__init__(f"{target}: {self.problem}")

    def beside(self, name: str) -> str:
        return self.problem if name == self.target else str(self)


class Unreachable(BackendError):
    """Could not be asked at all; nothing was changed by this attempt."""


class HostKeyError(Unreachable):
    """The host's SSH key is unknown or differs from the known one; the text says how to fix it."""


class UnknownOutcome(BackendError):
    """The answer was lost on the way: look at what is true before anything else is sent.

    Attributes:
        pid: process id of the command on the far side when it is known, which may still be running.
        started: see `backends.command.CommandStarted`.
    """

    def __init__(self, target: str, problem: str, *, pid: int | None = None, started: int = 0) -> None:
        self.pid = pid
        self.started = started
        super().__init__(target, problem)


class Refused(BackendError):
    """Was asked and answered no.

    Attributes:
        reason: the problem without what it was for, where that is known.
    """

    def __init__(self, target: str, problem: str, *, reason: str = "") -> None:
        super().__init__(target, problem)
        self.reason = shorten(reason, MAX_PROBLEM) or self.problem

    def beside_step(self, name: str) -> str:
        """The text where both this name and what was asked for stand before it already."""
        return self.reason if name == self.target else f"{self.target}: {self.reason}"


class NotAsked(Refused):
    """Something stood against asking, and nothing was sent."""


class Busy(NotAsked):
    """Something else is under way there, and nothing was begun; the same may be asked again later."""


class PermissionDenied(Refused):
    """The socket's level or the user's rights do not allow it."""


class UnreadableReply(BackendError):
    """Answered, but not with something that can be understood; never a pass."""
