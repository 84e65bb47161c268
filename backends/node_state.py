"""States that are read from a node: its service, registration and health, its log, and available versions."""

import enum
from dataclasses import dataclass

from backends.command import Command


class Activity(enum.StrEnum):
    """The state of a service, as its manager reports it."""

    RUNNING = "running"
    STOPPED = "stopped"
    CHANGING = "changing"  # an action is pending or under way
    FAILED = "failed"  # the manager has given up


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as its manager reports it; port and process have to confirm it."""

    activity: Activity
    pid: int | None  # id of the main process while it is known
    detail: str  # the manager's own text
    retrying: bool = False  # the service died or did not start, and its manager restarts it
    unwatched: str = ""  # why its manager does not act on it now, and what ends that
    stopping: bool = False  # the service is being stopped: it may still answer, and be killed soon
    self_checked: bool = False  # its manager checks its health, and only then reports `RUNNING`


@dataclass(frozen=True, slots=True)
class Registered:
    """A node as a service discovery, such as Consul, has it registered.

    Attributes:
        exists: the node is registered.
        maintenance: the reason of its maintenance there, as it was written there; empty without one.
        set_by_rollout: a rollout of Rolldeck enabled that maintenance, and a rollout may end it.
        set_manually: a manual change of Rolldeck enabled it.
        failing_checks: checks of service discovery that do not pass, as text; maintenance is not among them.
    """

    exists: bool
    maintenance: str = ""
    set_by_rollout: bool = False
    set_manually: bool = False
    failing_checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthResult:
    """The result of one health check. `ok` is False for everything that could not be measured."""

    ok: bool
    detail: str  # "200 OK", "connection refused", "status is DOWN, expected UP" ...
    version: str | None = None  # the version that runs, if the check reads one


class Presence(enum.StrEnum):
    """The three answers to whether a version is available. Only the second one is a reason to refuse."""

    THERE = "there"
    NOT_THERE = "not_there"
    NOT_KNOWN = "not_known"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a version is available on a node, and what was found instead.

    Attributes:
        presence: the answer.
        detail: where the version was searched for, or why the answer is not known; without the node's name.
        others: versions that are there instead, the newest first.
        lacking: it is not known only because a prefetch will check again: what the node has fetched of its
            repositories lists other versions, and not this one.
        any_version: the answer is the same for every version, as none was searched for.
    """

    presence: Presence
    detail: str = ""
    others: tuple[str, ...] = ()
    lacking: bool = False
    any_version: bool = False


THERE = Availability(Presence.THERE)


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where the log of a service is read.

    Attributes:
        name: for people, such as ``/var/log/shop.log`` or ``journal of shop.service``.
        command: prints its last lines and, if that was asked for, what is written from then on.
        ends: whether the command ends after the last lines; otherwise it goes on, asked or not.
        about: only lines with this text are about the service, whatever its case; empty: all are.
        parts: the commands of which a shell command consists, if rules of sudo are made for them one by one.
    """

    name: str
    command: Command
    ends: bool = False
    about: str = ""
    parts: tuple[Command, ...] = ()
