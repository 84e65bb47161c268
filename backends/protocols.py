"""The boundaries: what the orchestrator needs from load balancers, hosts, services and so on.

Each protocol has its adapters in a package beside this module, one small file for each kind.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backends.availability import Availability
from backends.command import Command, CommandResult
from backends.model import HealthResult, Persistence, Registered, ServiceState, Sessions, Snapshot


class Clock(Protocol):
    """Time, so that tests never wait for real."""

    def time(self) -> float:
        """Seconds since 1970, for people."""

    def monotonic(self) -> float:
        """Seconds that never jump, for deadlines."""

    async def sleep(self, seconds: float) -> None: ...


class LoadBalancer(Protocol):
    """One HAProxy process.

    All methods raise Unreachable, Refused and UnreadableReply; `write` also raises UnknownOutcome.
    """

    @property
    def name(self) -> str: ...

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        """Read info, level and the servers of these backends (all of them when empty)."""

    async def sessions(self, backend: str, server: str, limit: int) -> Sessions:
        """Read what is in flight on one server: how many, and the `limit` oldest. PermissionDenied: level."""

    async def older_sessions(self, backends: Sequence[str] = ()) -> Mapping[tuple[str, str], int] | None:
        """Sessions that processes replaced by a reload still have, by backend and server name.

        None: they cannot be seen from here.
        """

    async def write(self, command: str) -> None:
        """Send one line built by `backends.haproxy.commands`; any text in reply is a refusal."""

    async def facts(self) -> "LoadBalancerFacts":
        """Read what only matters before a rollout starts, from the configuration file if it can be read."""


class LoadBalancerFacts(Protocol):
    """Of the configuration file; None means that it could not be seen, and why is in `unseen`."""

    @property
    def state_file(self) -> bool | None: ...

    @property
    def shutdown_on_marked_down(self) -> frozenset[str] | None:
        """Backends in which `on-marked-down shutdown-sessions` cuts requests in flight."""

    @property
    def persistence(self) -> Mapping[str, Persistence] | None:
        """Of the backends in which something keeps clients on their servers."""

    @property
    def hold_obsolete_s(self) -> Mapping[str, float] | None:
        """For how many seconds a DNS record that is gone still counts, of backends resolved at run time."""

    @property
    def relative_ports(self) -> Collection[tuple[str, str]] | None:
        """Backend and name of the servers whose port is computed from the client's for each connection."""

    @property
    def all_backups(self) -> Collection[str] | None:
        """Backends in which `option allbackups` makes all backup servers serve, not the first one alone."""

    @property
    def unseen(self) -> str: ...


class Host(Protocol):
    """A place where commands run: over SSH or here, perhaps inside a container."""

    @property
    def name(self) -> str: ...

    def render(self, command: Command) -> str:
        """The line as it would be run, with sudo and prefix, quoted."""

    async def connect(self) -> None:
        """Open what `run` will use, so that a problem shows early. Raises Unreachable, HostKeyError."""

    async def run(
        self,
        command: Command,
        *,
        timeout: float = 30.0,
        track: bool = False,
        record: bool = True,
    ) -> CommandResult:
        """Run to the end and return the result, whatever the exit status.

        Args:
            command: what to run.
            timeout: seconds; when they are over the command may still be running on the host.
            track: find out the command's process id and report it to the listener, so that a lost one can be
                waited for.
            record: report the command to the listener; polls that run many times a minute are not reported.

        Raises:
            Unreachable: it was never started.
            UnknownOutcome: started, but the connection or the time ran out before it ended.
        """

    async def alive(self, pid: int, started: int = 0) -> bool:
        """Whether this process is there, seen from where commands run. Never recorded.

        Args:
            pid: its id.
            started: as in `CommandStarted`; another process that has its id by now is not it. 0: any will do.

        Raises:
            Unreachable, UnknownOutcome: nobody could be asked.
            UnreadableReply: the answer was neither yes nor no.
        """

    async def sudo_refusal(self, command: Command, *, track: bool = False) -> str:
        """Why sudo would not run this command, in words, by a query that runs nothing. Never recorded.

        Empty when it would, where no sudo is in the way, and when that cannot be told.

        Args:
            command: as it would be run.
            track: as for `run`.

        Raises:
            Unreachable, UnknownOutcome: nobody could be asked.
        """

    async def read_file(self, path: str, most_bytes: int) -> str:
        """A regular text file as commands see it. Never recorded.

        Raises:
            Unreachable, UnknownOutcome: nobody could be asked.
            Refused, PermissionDenied: it is not there, is no regular file, or must not be read.
            UnreadableReply: it is longer than that.
        """

    async def open_unix(
        self, path: str, *, timeout: float = 10.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket there, as the login user: sudo and prefix do not apply.

        A connection lost later shows as an OSError from the streams.

        Raises:
            Unreachable: no such socket, nobody listens, or no answer within `timeout` seconds.
            PermissionDenied: the login user may not write to it.
        """

    async def close(self) -> None: ...


class ServiceManager(Protocol):
    """Starts and stops one service on one host. Both only ASK; the state must be read back."""

    def stop_command(self) -> Command: ...

    def start_command(self) -> Command: ...

    async def state(self) -> ServiceState: ...

    async def obstacles(self) -> tuple[str, ...]:
        """Why it could not stop or start the service, in words, without doing either.

        A service that has failed is none: it can be started. Raises as `state`.
        """

    async def caveats(self) -> tuple[str, ...]:
        """What this manager cannot know or do, and a rollout or a reboot may meet, in words.

        They keep nothing from going on. The same text of several nodes is said once: the node's name is not
        in it. Raises as `state`.
        """

    async def last_lines(self) -> tuple[str, ...]:
        """The last lines that the manager has of the service, oldest first; at most LAST_LINES.

        Empty where it keeps none. Raises as `state`.
        """

    async def stop(self) -> None: ...

    async def start(self) -> None: ...


class PortProbe(Protocol):
    """Whether the application's port is open, seen from where the configuration says."""

    async def is_open(self) -> bool:
        """Raise Unreachable or UnreadableReply when it is neither open nor closed, as after a time-out."""


class Connections(Protocol):
    """The connections that a node has on its application's port, whoever made them."""

    async def count(self) -> int:
        """Established ones. Raises Unreachable or UnreadableReply when they cannot be counted."""


class Installer(Protocol):
    """Reads and changes the version on disk of one node."""

    @property
    def host(self) -> Host:
        """Where its commands run: the node, or the console's machine (Ansible)."""

    def install_commands(self, version: str) -> tuple[Command, ...]:
        """What `install` would run, for plans; without side effects."""

    def prefetch_commands(self, version: str) -> tuple[Command, ...]:
        """What `prefetch` would run; empty when there is nothing to prefetch."""

    def undo_commands(self, version: str) -> tuple[Command, ...]:
        """What `install` may run when it has failed; empty for most kinds."""

    async def installed(self) -> str | None:
        """Return the version on disk, or None when nothing is installed. Raises UnreadableReply."""

    async def check_availability(self, version: str) -> Availability:
        """Whether `install` could bring this version, after `prefetch`. Changes nothing.

        Never raises a BackendError: what cannot be asked is not known. ConfigError: as `install_commands`.
        """

    async def install(self, version: str) -> None: ...

    async def prefetch(self, version: str) -> None: ...


class HealthCheck(Protocol):
    """The application's own health."""

    async def check(self) -> HealthResult:
        """Check once. An unhealthy application is a result and never an error."""


class Registration(Protocol):
    """A node in a service discovery, such as Consul. Methods that send a request raise BackendError."""

    @property
    def name(self) -> str:
        """Name of the service discovery, for people."""

    @property
    def sync_maintenance(self) -> bool:
        """Whether the node is in maintenance there while a rollout works on it."""

    @property
    def gate_on_checks(self) -> bool:
        """Whether the registry's own checks have to pass before the node goes back."""

    async def query(self) -> Registered:
        """Read how the node is registered now."""

    async def check(self) -> None:
        """Raise BackendError if maintenance could not be enabled. This changes nothing."""

    def enable_command(self, *, manually: bool = False) -> Command | None:
        """Return what `enable_maintenance` runs; None until `query` has found the node."""

    def disable_command(self) -> Command | None:
        """Return what `disable_maintenance` runs; None until `query` has found the node."""

    async def enable_maintenance(self, *, manually: bool = False) -> None:
        """Request maintenance; whether it is enabled must be read back."""

    async def disable_maintenance(self) -> None:
        """Request the end of maintenance; whether it has ended must be read back."""


@dataclass(frozen=True, slots=True)
class LockValue:
    """What the holder of a lock has written there.

    Attributes:
        value: as it was given to `KeyLock.try_acquire`, if the holder wrote it.
        doubt: why somebody else may have written it; empty when nothing suggests that.
    """

    value: bytes
    doubt: str = ""


class KeyLock(Protocol):
    """A lock that several machines share, with a value that says who holds it."""

    @property
    def fencing_token(self) -> int:
        """A number that grows with each holder: a smaller one belongs to an earlier holder."""

    async def holder(self) -> LockValue | None:
        """Return what another holder has written; None when there is none. Raises BackendError."""

    async def try_acquire(self, value: bytes) -> bool:
        """Acquire the lock and keep it; return whether it was free. Raises BackendError."""

    async def force_release(self) -> None:
        """Take the lock away from its holder. Raises BackendError."""

    def lost_reason(self) -> str:
        """Return why no node may be taken out under this lock any more; empty while it is held."""

    def fenced_reason(self) -> str:
        """Return why nothing at all may be done under this lock any more; empty while something may."""

    async def release(self) -> None:
        """Give the lock back, without effect when it is not held. Never raises."""
