"""How one host is reached: what the ssh configuration and our settings make of a name.

Imports asyncssh, so it is itself imported late.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from backends.hosts.hop import Hop
from backends.hosts.known_hosts import SYSTEM_FILES, USER_FILES

if TYPE_CHECKING:
    from backends.hosts.ssh import SshSettings

_ALL_HOST_KEYS = "+ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-512,rsa-sha2-256"


@dataclass(frozen=True, slots=True)
class Route:
    """One host, resolved."""

    host: str
    port: int
    user: str
    jumps: tuple[Hop, ...]  # what ProxyJump says, nearest first
    known_hosts: tuple[str, ...]
    identities: tuple[str, ...]  # private key files; empty means the usual ones
    has_agent: bool
    arguments: dict[str, Any]  # for asyncssh.connect


def resolve(hop: Hop, settings: "SshSettings", identity: str = "") -> Route:
    """Read the ssh configuration for this host. Blocking.

    Raises:
        OSError: a file that was named is not there.
        ValueError, asyncssh.Error: the configuration makes no sense.
    """
    arguments = _arguments(hop, settings)
    # Without keys at first: the configuration may name some that are not there, which ssh passes
    # over but asyncssh does not.
    options = asyncssh.SSHClientConnectionOptions(**arguments, client_keys=None)
    named: Any = [identity] if identity else options.config.get("IdentityFile", ())
    files = [str(Path(file).expanduser()) for file in named]
    identities = [file for file in files if identity or Path(file).exists()]
    if named:
        arguments["client_keys"] = identities
    # Once more, so that a key that cannot be used is found here and not in the middle.
    options = asyncssh.SSHClientConnectionOptions(**arguments)
    return Route(
        host=options.host,
        port=options.port,
        user=options.username,
        jumps=_jumps(hop, options),
        known_hosts=_known_hosts(settings, options),
        identities=tuple(identities),
        has_agent=bool(options.agent_path),
        arguments=arguments,
    )


def is_encrypted(identity: str) -> bool:
    """Whether this private key file cannot be read without a passphrase. Blocking."""
    try:
        asyncssh.read_private_key(identity)
    except asyncssh.KeyImportError as error:
        return "assphrase" in str(error)
    except OSError:
        pass
    return False


def _arguments(hop: Hop, settings: "SshSettings") -> dict[str, Any]:
    config = Path(settings.config).expanduser()
    # A configuration file that was asked for by name must be there; the usual one need not.
    missing = settings.config.startswith("~") and not config.exists()
    arguments: dict[str, Any] = {
        "host": hop.host,
        "config": [] if missing or not settings.config else [str(config)],
        "connect_timeout": None,  # `dial` keeps the time
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
    return arguments


def _jumps(hop: Hop, options: asyncssh.SSHClientConnectionOptions) -> tuple[Hop, ...]:
    named = options.tunnel if isinstance(options.tunnel, str) else ""
    jumps = (Hop.parse(text) for text in named.split(",") if text.strip())
    # `Host *` with a ProxyJump catches the jump host as well; ssh skips that, and so do we.
    return tuple(jump for jump in jumps if jump.host != hop.host)


def _known_hosts(settings: "SshSettings", options: asyncssh.SSHClientConnectionOptions) -> tuple[str, ...]:
    if settings.known_hosts:
        return (settings.known_hosts,)
    # "none" in the configuration reads as [], which asyncssh takes for "trust everybody".
    user: Any = options.config.get("UserKnownHostsFile", USER_FILES)
    system: Any = options.config.get("GlobalKnownHostsFile", SYSTEM_FILES)
    return (*user, *system)
