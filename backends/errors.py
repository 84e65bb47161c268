"""The errors that orchestrator and backends raise.

RolldeckError
├── ConfigError          a file, a key in it, what was found and what was expected
└── BackendError         a load balancer, host or service failed; `target` names it
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
"""Characters of a problem, which contains text of the other side, perhaps megabytes."""


class RolldeckError(Exception):
    """Base of all errors; its text is fit for an operator to read."""

    def beside(self, name: str) -> str:
        """Return the text for a line that already begins with this name, without repeating the name."""
        return str(self)


class ConfigError(RolldeckError):
    """The configuration cannot be used.

    Attributes:
        file: the file that contains the key, or another source.
        key: the path of the key, such as ``apps.shop.rollout.serial``; empty when it is the whole file.
        problem: what was found and what was expected.
    """

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        self.problem = shorten(problem, MAX_PROBLEM)
        super().__init__(": ".join(part for part in (file, key, self.problem) if part))


class BackendError(RolldeckError):
    """A load balancer, a host or a service failed.

    Attributes:
        target: the load balancer or host, by its name in the configuration.
        problem: what happened, with the text of the other side if there is any; see `MAX_PROBLEM`.
        place: the address and port of the target with which the problem begins; empty where it does not.
    """

    def __init__(self, target: str, problem: str, *, place: str = "") -> None:
        self.target = target
        self.problem = shorten(f"{place}: {problem}" if place else problem, MAX_PROBLEM)
        self.place = place
        super().__init__(f"{target}: {self.problem}")

    def beside(self, name: str) -> str:
        return self.problem if name == self.target else str(self)


class Unreachable(BackendError):
    """No request was sent; this attempt changed nothing."""


class HostKeyError(Unreachable):
    """The host's SSH key is unknown or differs from the known one; the text says how to fix it."""


class UnknownOutcome(BackendError):
    """The answer was lost: the state must be read before anything else is sent.

    Attributes:
        pid: process id of the command, which may still be running there; None if it is unknown.
        started: see `backends.command.CommandStarted`.
    """

    def __init__(self, target: str, problem: str, *, pid: int | None = None, started: int = 0) -> None:
        self.pid = pid
        self.started = started
        super().__init__(target, problem)


class Refused(BackendError):
    """The answer to a request was no.

    Attributes:
        reason: the problem without the purpose of the request, if that is known.
    """

    def __init__(self, target: str, problem: str, *, reason: str = "") -> None:
        super().__init__(target, problem)
        self.reason = shorten(reason, MAX_PROBLEM) or self.problem

    def beside_step(self, name: str) -> str:
        """Return the text for a line that already begins with this name and the purpose of the request."""
        return self.reason if name == self.target else f"{self.target}: {self.reason}"


class NotAsked(Refused):
    """Nothing was sent, because something forbids it."""


class Busy(NotAsked):
    """Nothing was started, because something else is under way there; a later retry may succeed."""


class PermissionDenied(Refused):
    """The level of the socket or the rights of the user do not allow it."""


class UnreadableReply(BackendError):
    """The answer cannot be understood; this never counts as a pass."""
