"""Opening an SSH connection: configuration, jumps, host keys, login, and why when it fails.

Imports asyncssh, so it is itself imported late.
"""

import asyncio
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from backends.errors import HostKeyError, Unreachable
from backends.hosts.hop import Hop
from backends.hosts.known_hosts import (
    SYSTEM_FILES,
    USER_FILES,
    OfferedKey,
    explain,
    read_known_hosts,
)

if TYPE_CHECKING:
    from backends.hosts.ssh import SshSettings

_ALL_HOST_KEYS = "+ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-512,rsa-sha2-256"
_GOODBYE = 2.0  # seconds to close in good order


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
                async with asyncio.timeout(_GOODBYE):
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
        self._on_the_way: list[Hop] = []  # ProxyJump of a jump may lead round in a circle

    async def open(self, hop: Hop, identity: str = "", via: Link | None = None) -> Link:
        """Open one hop, and those that the configuration puts before it."""
        try:
            arguments = self._arguments(hop, identity)
            options = await asyncio.to_thread(lambda: asyncssh.SSHClientConnectionOptions(**arguments))
        except (OSError, ValueError, asyncssh.Error) as error:
            problem = f"the ssh configuration of {hop.host} cannot be used: {error}"
            raise Unreachable(self._target, problem) from error
        if via is None:
            via = await self._jump(hop, options.tunnel)
        try:
            connection = await _Login(self._target, hop, self._settings, options).run(arguments, via)
        except BaseException:
            if via:
                await via.close()
            raise
        return Link(connection, (*via.jumps, via.connection) if via else ())

    async def _jump(self, hop: Hop, jumps: object) -> Link | None:
        via: Link | None = None
        if hop in self._on_the_way:
            raise Unreachable(self._target, f"ProxyJump leads back to {hop.host}")
        self._on_the_way.append(hop)
        for text in str(jumps or "").split(","):
            jump = Hop.parse(text)
            # `Host *` with a ProxyJump catches the jump host as well; ssh skips that, and so do we.
            if jump.host and jump.host != hop.host:
                via = await self.open(jump, via=via)
        return via

    def _arguments(self, hop: Hop, identity: str) -> dict[str, Any]:
        settings = self._settings
        config = Path(settings.config).expanduser()
        # A configuration file that was asked for by name must be there; the usual one need not.
        missing = settings.config.startswith("~") and not config.exists()
        arguments: dict[str, Any] = {
            "host": hop.host,
            "config": [] if missing or not settings.config else [str(config)],
            "connect_timeout": None,  # `_Login` keeps the time
            "login_timeout": 0,
            "keepalive_interval": settings.keepalive_interval,
            "keepalive_count_max": settings.keepalive_count,
            "password_auth": False,
            "kbdint_auth": False,
            "ignore_encrypted": True,  # the agent may hold the key; if not, we say so
            "x509_trusted_certs": None,
            # Asked for only the types it is known by, a host whose key changed has "no matching
            # algorithm"; asked for all, after those, it shows the key that it has now.
            "server_host_key_algs": _ALL_HOST_KEYS,
        }
        if hop.user:
            arguments["username"] = hop.user
        if hop.port:
            arguments["port"] = hop.port
        if identity:
            arguments["client_keys"] = [str(Path(identity).expanduser())]
        return arguments


class _Login(asyncssh.SSHClient):
    """One hop: TCP (or the tunnel), host key, key exchange, login, each phase within its time."""

    def __init__(
        self,
        target: str,
        hop: Hop,
        settings: "SshSettings",
        options: asyncssh.SSHClientConnectionOptions,
    ) -> None:
        self._target = target
        self._hop = hop
        self._settings = settings
        self._options = options
        self._known_hosts = _known_hosts_files(settings, options)
        self._offered: OfferedKey | None = None
        self._connected = False
        self._limit = asyncio.timeout(settings.connect_timeout)

    async def run(self, arguments: dict[str, Any], via: Link | None) -> asyncssh.SSHClientConnection:
        try:
            async with self._limit:
                connection: asyncssh.SSHClientConnection = await asyncssh.connect(
                    **arguments,
                    tunnel=via.connection if via else None,
                    known_hosts=await asyncio.to_thread(read_known_hosts, self._known_hosts),
                    client_factory=lambda: self,
                )
                return connection
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyError(self._target, self._about_key(str(error))) from error
        except asyncssh.PermissionDenied as error:
            raise Unreachable(self._target, self._about_login()) from error
        except TimeoutError as error:
            raise Unreachable(self._target, self._about_silence()) from error
        except (OSError, ValueError, asyncssh.Error) as error:
            during = " during login" if self._connected else ""
            raise Unreachable(self._target, f"{self._where}: {_reason(error)}{during}") from error

    # asyncssh calls these

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connected = True
        now = asyncio.get_running_loop().time()
        self._limit.reschedule(now + self._settings.login_timeout)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
        self._offered = OfferedKey(host, addr, port, key)
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: Any) -> bool:
        return self.validate_host_public_key(host, addr, port, key)

    # what an operator reads

    @property
    def _where(self) -> str:
        return f"{self._options.host} port {self._options.port}"

    def _about_key(self, otherwise: str) -> str:
        if self._offered is None:
            return f"{self._where}: {otherwise}"
        return explain(self._offered, self._known_hosts, self._add_command())

    def _about_login(self) -> str:
        options = self._options
        configured: Any = options.config.get("IdentityFile", ())
        files = [self._settings.identity] if self._settings.identity else list(configured)
        tried = f"{len(options.client_keys or ())} from files"
        tried += ", and the agent's" if options.agent_path else ", no agent"
        hint = ""
        if files and not options.client_keys:
            hint = f"; {files[0]} is encrypted: ssh-add it to the agent first"
        return f"{self._where}: no key was accepted for user {options.username} ({tried}){hint}"

    def _about_silence(self) -> str:
        if self._connected:
            limit = f"{self._settings.login_timeout:g} s"
            return f"{self._where}: accepts connections, but the login was not done within {limit}"
        return f"{self._where}: no connection within {self._settings.connect_timeout:g} s"

    def _add_command(self) -> str:
        settings, hop = self._settings, self._hop
        argv = ["ssh"]
        argv += ["-F", settings.config] if not settings.config.startswith("~") else []
        argv += ["-o", f"UserKnownHostsFile={settings.known_hosts}"] if settings.known_hosts else []
        argv += ["-l", hop.user] if hop.user else []
        argv += ["-p", str(hop.port)] if hop.port else []
        return shlex.join([*argv, hop.host, "true"])


def _reason(error: Exception) -> str:
    # asyncio's own words for a refused connection are "Connect call failed".
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)


def _known_hosts_files(
    settings: "SshSettings", options: asyncssh.SSHClientConnectionOptions
) -> Sequence[str]:
    if settings.known_hosts:
        return (settings.known_hosts,)
    # "none" in the configuration reads as [], which asyncssh takes for "trust everybody".
    user: Any = options.config.get("UserKnownHostsFile", USER_FILES)
    system: Any = options.config.get("GlobalKnownHostsFile", SYSTEM_FILES)
    return (*user, *system)
