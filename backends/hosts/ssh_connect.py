"""The opening of an SSH connection: configuration, jump hosts, host keys, login, and causes of failure.

It imports asyncssh, and is therefore imported late itself.
"""

import asyncio
import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.errors import HostKeyError, Unreachable
from backends.hosts.known_hosts import (
    USER_FILES,
    KnownHosts,
    OfferedKey,
    explain,
    read_known_hosts,
    without_revoked,
)
from backends.hosts.ssh_channels import asyncssh
from backends.hosts.ssh_route import Route, is_encrypted, resolve
from backends.hosts.ssh_settings import Hop
from backends.untrusted import NotInert

if TYPE_CHECKING:
    from backends.hosts.ssh_settings import SshSettings

_CLOSE_TIMEOUT_S = 2.0  # to close in good order


@dataclass(frozen=True, slots=True)
class Link:
    """An open connection and those it is tunnelled through, nearest first."""

    connection: asyncssh.SSHClientConnection
    jumps: tuple[asyncssh.SSHClientConnection, ...] = ()

    @property
    def closed(self) -> bool:
        return self.connection.is_closed()

    async def close(self) -> None:
        """Close them from the far end; a silent peer does not hold it up."""
        for connection in (self.connection, *reversed(self.jumps)):
            connection.close()
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()


async def dial(target: str, address: str, settings: "SshSettings") -> Link:
    """Connect and log in.

    Args:
        target: the node's name, for errors.
        address: host name, address, or a `Host` of the ssh configuration.
        settings: where the configuration and keys are, and how long each phase may take.

    Raises:
        HostKeyError: the key is unknown, has changed or is revoked.
        Unreachable: anything else; the text says in which phase and why.
    """
    hop = Hop(address, settings.user, settings.port)
    return await _Dialer(target, settings).open(hop, settings.identity)


class _Dialer:
    def __init__(self, target: str, settings: "SshSettings") -> None:
        self._target = target
        self._settings = settings
        self._on_the_way: set[Hop] = set()  # ProxyJump of a jump may lead round in a circle

    async def open(
        self, hop: Hop, identity: str = "", via: Link | None = None, *, is_jump: bool = False
    ) -> Link:
        """Open one hop, and those that the configuration puts before it."""
        try:
            route = await self._resolve(hop, identity)
            if via is None:
                via = await self._open_jumps(hop, route)
            login = _Login(self._target, hop, route, self._settings, is_jump=is_jump)
            connection = await login.run(via)
        except BaseException:
            if via:
                await via.close()
            raise
        return Link(connection, (*via.jumps, via.connection) if via else ())

    async def _resolve(self, hop: Hop, identity: str) -> Route:
        try:
            return await asyncio.to_thread(resolve, hop, self._settings, identity)
        except NotInert as error:
            raise Unreachable(self._target, f"nothing was sent: {error}") from None
        except (OSError, ValueError, RuntimeError, asyncssh.Error) as error:  # RuntimeError: `~` of nobody
            problem = f"the ssh configuration of {hop.host} cannot be used: {error}"
            raise Unreachable(self._target, problem) from error

    async def _open_jumps(self, hop: Hop, route: Route) -> Link | None:
        if hop in self._on_the_way:
            raise Unreachable(self._target, f"ProxyJump leads back to {hop.host}")
        self._on_the_way.add(hop)
        via: Link | None = None
        for jump in route.jumps:
            via = await self.open(jump, via=via, is_jump=True)
        return via


class _Login(asyncssh.SSHClient):
    """One hop: TCP (or the tunnel), host key, key exchange, login, each phase within its time."""

    def __init__(
        self, target: str, hop: Hop, route: Route, settings: "SshSettings", *, is_jump: bool
    ) -> None:
        self._target = target
        self._is_jump = is_jump
        self._hop = hop
        self._route = route
        self._settings = settings
        self._offered: OfferedKey | None = None
        self._connected = False
        self._limit = asyncio.timeout(settings.connect_timeout)

    async def run(self, via: Link | None) -> asyncssh.SSHClientConnection:
        try:
            known_hosts = await asyncio.to_thread(self._load_known_hosts)
            async with self._limit:
                connection: asyncssh.SSHClientConnection = await asyncssh.connect(
                    **self._route.arguments,
                    tunnel=via.connection if via else None,
                    known_hosts=known_hosts,
                    client_factory=lambda: self,
                )
                return connection
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyError(self._target, self._describe_key_problem(str(error))) from error
        except asyncssh.PermissionDenied as error:
            problem = await asyncio.to_thread(self._describe_login_failure)
            raise self._unreachable(problem) from error
        except TimeoutError as error:
            raise self._unreachable(self._describe_timeout()) from error
        except (OSError, ValueError, asyncssh.Error) as error:
            during = " during login" if self._connected else ""
            raise self._unreachable(f"{_format_error(error)}{during}") from error

    def _load_known_hosts(self) -> KnownHosts:
        return without_revoked(read_known_hosts(self._route.known_hosts), self._route.revoked)

    # asyncssh calls these

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connected = True
        now = asyncio.get_running_loop().time()
        self._limit.reschedule(now + self._settings.login_timeout)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
        alias = self._route.key_alias
        self._offered = OfferedKey(alias or host, 22 if alias else port, key)  # ssh has no port with an alias
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: Any) -> bool:
        return self.validate_host_public_key(host, addr, port, key)

    # what an operator reads

    def _unreachable(self, problem: str) -> Unreachable:
        if self._is_jump:  # the address is not the target's
            return Unreachable(self._target, f"{self._where}: {problem}")
        return Unreachable(self._target, problem, place=self._where)

    @property
    def _where(self) -> str:
        return f"{self._route.host} port {self._route.port}"

    def _describe_key_problem(self, otherwise: str) -> str:
        if self._offered is None:
            revoked = f" (RevokedHostKeys: {', '.join(self._route.revoked)})" if self._route.revoked else ""
            return f"{self._where}: {otherwise}{revoked}"
        route = self._route
        return explain(self._offered, route.known_hosts, self._add_command(), keeper=bool(route.keeper))

    def _describe_login_failure(self) -> str:
        files = ", ".join(self._route.identities) or "the usual files"
        agent = "the agent" if self._route.has_agent else "no agent"
        tried = f"tried {files} and {agent}"
        locked = [file for file in self._route.identities if is_encrypted(file)]
        hint = f"; {locked[0]} is encrypted: ssh-add it to the agent first" if locked else ""
        return f"no key was accepted for user {self._route.user} ({tried}){hint}"

    def _describe_timeout(self) -> str:
        if self._connected:
            limit = f"{self._settings.login_timeout:g} s"
            return f"accepts connections, but the login was not done within {limit}"
        return f"no connection within {self._settings.connect_timeout:g} s"

    def _add_command(self) -> str:
        settings, hop = self._settings, self._hop
        argv = ["ssh"]
        argv += ["-F", settings.config] if not settings.config.startswith("~") else []
        # With `yes` in the configuration ssh adds nothing, with `no` it adds whatever it is offered.
        argv += ["-o", "StrictHostKeyChecking=ask"]
        keeper = settings.known_hosts if self._route.keeper else USER_FILES[0]
        argv += ["-o", f"UserKnownHostsFile={keeper}"] if keeper else []
        argv += ["-l", hop.user] if hop.user else []
        argv += ["-p", str(hop.port)] if hop.port else []
        return shlex.join([*argv, hop.host, "true"])


def _format_error(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        # asyncio's own words for a refused connection are "Connect call failed"; those of the
        # resolver have negative numbers.
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return str(error)
