"""Protocols: what the orchestrator requires of load balancers, hosts, services and other adapters.

The adapters of a protocol are in a package or a module beside this one; `kinds` lists most of them.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from backends.command import Command, CommandResult
from backends.model import Persistence, SessionList, Sessions, Snapshot
from backends.node_state import Availability, HealthResult, LogSource, Registered, ServiceState
from backends.output_stream import OutputStream
from backends.shell import Shell


class Clock(Protocol):
    """Time, so that tests never wait for real."""

    def time(self) -> float:
        """Return seconds since 1970, for people."""

    def monotonic(self) -> float:
        """Return seconds that never jump, for deadlines."""

    async def sleep(self, seconds: float) -> None: ...


class LoadBalancer(Protocol):
    """One HAProxy process.

    All methods raise Unreachable, Refused and UnreadableReply; `write` also raises UnknownOutcome.
    """

    @property
    def name(self) -> str: ...

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        """Read the information, the level and the servers of these backends, or of all when empty."""

    async def sessions(self, backend: str, server: str, limit: int) -> Sessions:
        """Read the sessions of one server: their number, and the `limit` oldest. PermissionDenied: level."""

    async def list_sessions(self, servers: Collection[tuple[str, str]]) -> SessionList:
        """List the sessions of these servers, given by backend and name, as far as not too many are there.

        An empty name means all servers of the backend.
        PermissionDenied: the level is too low.
        """

    async def older_sessions(self, backends: Sequence[str] = ()) -> Mapping[tuple[str, str], int] | None:
        """Count the sessions that processes before the last reload still have, by backend and server name.

        Returns None where they cannot be read.
        """

    async def write(self, command: str) -> None:
        """Send one line built by `backends.haproxy.commands`; any text in the reply is a refusal."""

    async def facts(self) -> "LoadBalancerFacts":
        """Read what matters before a rollout starts, from the configuration file if it can be read."""


class LoadBalancerFacts(Protocol):
    """Facts of the configuration file. None means that it could not be read, for the reason in `unseen`."""

    @property
    def state_file(self) -> bool | None: ...

    @property
    def shutdown_on_marked_down(self) -> frozenset[str] | None:
        """Backends in which `on-marked-down shutdown-sessions` cuts requests in flight."""

    @property
    def persistence(self) -> Mapping[str, Persistence] | None:
        """What keeps clients on their servers, by the names of the backends that have it."""

    @property
    def hold_obsolete_s(self) -> Mapping[str, float] | None:
        """Seconds for which a removed DNS record still counts, by backends that are resolved at run time."""

    @property
    def relative_ports(self) -> Collection[tuple[str, str]] | None:
        """Backend and name of the servers whose port is computed from the client's, for each connection."""

    @property
    def all_backups(self) -> Collection[str] | None:
        """Backends in which `option allbackups` makes all backup servers serve, and not only the first."""

    @property
    def consistent_hashes(self) -> Collection[str] | None:
        """Backends with `hash-type consistent`, whose weights can be changed at run time."""

    @property
    def unseen(self) -> str: ...


class Host(Protocol):
    """A machine on which commands run: over SSH or this one, perhaps inside a container."""

    @property
    def name(self) -> str: ...

    def render(self, command: Command) -> str:
        """Return the line that would run, with sudo and prefix, quoted."""

    async def connect(self) -> None:
        """Connect ahead of `run`, so that a problem shows early. Raises Unreachable, HostKeyError."""

    async def run(
        self,
        command: Command,
        *,
        timeout: float = 30.0,
        track: bool = False,
        record: bool = True,
    ) -> CommandResult:
        """Run a command to its end and return the result, whatever its exit status.

        Args:
            command: the command.
            timeout: seconds, after which the command may still be running on the host.
            track: whether to report the command's process id to the listener, so that the end of a command
                whose connection is lost can be awaited.
            record: whether to report the command to the listener; polls are not reported.

        Raises:
            Unreachable: the command was never started.
            UnknownOutcome: the connection was lost, or the time ran out, before the command ended.
        """

    async def alive(self, pid: int, started: int = 0) -> bool:
        """Return whether a process exists where commands run. This is never recorded.

        Args:
            pid: the process id.
            started: see `CommandStarted`, to exclude a later process with the same id; 0: any process.

        Raises:
            Unreachable: the host does not answer.
            UnreadableReply: the answer was lost, or was neither yes nor no.
        """

    async def sudo_refusal(self, command: Command, *, track: bool = False) -> str:
        """Return why sudo would not run this command, by a query that runs nothing and is never recorded.

        The text is empty when sudo would run it, where no sudo is involved, and when it cannot be known.

        Args:
            command: the command that would run.
            track: see `run`.

        Raises:
            Unreachable, UnknownOutcome: the host does not answer.
        """

    async def read_file(self, path: str, most_bytes: int) -> str:
        """Read a regular text file where commands run. This is never recorded.

        Raises:
            Unreachable, UnknownOutcome: the host does not answer.
            Refused, PermissionDenied: the file is missing, not regular, or may not be read.
            UnreadableReply: the file is longer than `most_bytes`.
        """

    async def open_unix(
        self, path: str, *, timeout: float = 10.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket of the host as the login user, without sudo and prefix.

        A connection lost later shows as an OSError from the streams.

        Raises:
            Unreachable: no such socket, nobody listens, or no answer within `timeout` seconds.
            PermissionDenied: the login user may not write to it.
        """

    def stream(self, command: Command) -> AbstractAsyncContextManager[OutputStream]:
        """Run a command that may go on for ever, and read its output as it arrives. This is never recorded.

        At the end of the context the command is ended on the host, too.

        Raises:
            Unreachable: it was not started.
            Refused: an argument cannot be passed on; nothing was sent.
        """

    def open_shell(self, term: str, columns: int, rows: int) -> AbstractAsyncContextManager[Shell]:
        """Open an interactive shell for a person: within the prefix if there is one, else a login shell.

        Args:
            term: type of the terminal, such as "xterm-256color".
            columns: its width.
            rows: its height.

        Raises:
            Unreachable: it was not started.
        """

    async def close(self) -> None: ...


class ServiceManager(Protocol):
    """Starts and stops one service on one host. Both are only requests; the state must be read back."""

    def stop_command(self) -> Command: ...

    def start_command(self) -> Command: ...

    async def state(self) -> ServiceState: ...

    async def obstacles(self) -> tuple[str, ...]:
        """Return why the service could not be stopped or started, without doing either.

        A service that has failed is no obstacle: it can be started. Raises as `state`.
        """

    async def caveats(self) -> tuple[str, ...]:
        """Return what the manager cannot know or do, as far as it may matter in a rollout or at a reboot.

        Caveats stop nothing. A text does not contain the node's name, so that the same text of several nodes
        is shown once. Raises as `state`.
        """

    async def last_lines(self) -> tuple[str, ...]:
        """Return the last lines of the service's log, oldest first; at most MAX_LAST_LINES.

        The result is empty if the manager keeps no log. Raises as `state`.
        """

    async def log_source(self, lines: int, *, follow: bool) -> LogSource:
        """Return where the service's log is read, without reading it.

        Args:
            lines: how many of its last lines are printed first.
            follow: whether the command goes on with what is written from then on.

        Raises:
            NotAsked: it is not known where the log is; the text says which key tells it.
            As `state`.
        """

    async def stop(self) -> None: ...

    async def start(self) -> None: ...


class PortProbe(Protocol):
    """A check of the application's port, from the node or from the console."""

    async def is_open(self) -> bool:
        """Return whether the port is open. Raises Unreachable, UnreadableReply, also after a time-out."""


class Connections(Protocol):
    """The connections to the application's port of a node, from any client."""

    async def count(self) -> int:
        """Count the established connections. Raises Unreachable, UnreadableReply."""


class Installer(Protocol):
    """Reads and changes the version on disk of one node."""

    @property
    def host(self) -> Host:
        """The host on which its commands run: the node, or the console's machine (Ansible)."""

    def install_commands(self, version: str) -> tuple[Command, ...]:
        """Return what `install` would run, for plans; this has no side effects."""

    def prefetch_commands(self, version: str) -> tuple[Command, ...]:
        """Return what `prefetch` would run; empty when there is nothing to prefetch."""

    def undo_commands(self, version: str) -> tuple[Command, ...]:
        """Return what `install` may run after a failure; empty for most kinds."""

    async def installed(self) -> str | None:
        """Return the version on disk, or None when nothing is installed. Raises UnreadableReply."""

    async def check_availability(self, version: str) -> Availability:
        """Find out whether `install` could install this version, after `prefetch`. This changes nothing.

        Never raises BackendError: without an answer the availability is unknown. Raises ConfigError as
        `install_commands` does.
        """

    async def versions(self) -> tuple[str, ...] | None:
        """List versions that could be installed, the newest first if that is known. This changes nothing.

        Returns None where they cannot be listed. Raises BackendError.
        """

    async def install(self, version: str) -> None: ...

    async def prefetch(self, version: str) -> None: ...


class HealthCheck(Protocol):
    """The application's own health."""

    async def check(self) -> HealthResult:
        """Check once. An unhealthy application is a result and never an error."""

    async def read_version(self) -> str | None:
        """Return the version that runs, whether it is healthy or not; None if that is not known."""


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
        """Whether service discovery's own checks have to pass before the node goes back."""

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
