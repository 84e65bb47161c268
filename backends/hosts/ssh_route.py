"""The route to a host, determined from its name by the ssh configuration and Rolldeck's settings."""

import base64
import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.file_trust import NAMED, Writers, open_trusted
from backends.hosts.known_hosts import NOWHERE, SYSTEM_CONFIG, SYSTEM_FILES, USER_FILES, revoked_files
from backends.hosts.ssh_channels import asyncssh
from backends.hosts.ssh_settings import Hop
from backends.untrusted import NotInert, check_inert, check_port, is_address

if TYPE_CHECKING:
    from backends.hosts.ssh_settings import SshSettings


def canonical_name(host: str, options: asyncssh.SSHClientConnectionOptions) -> tuple[str, bool]:
    """Return the name to go on with, and whether it is a canonical one. Blocking.

    Raises:
        OSError: it has none, and CanonicalizeFallbackLocal is "no".
    """
    if not options.canonicalize_hostname or not options.canonical_domains:
        return host, False
    if host.count(".") > options.canonicalize_max_dots or is_address(host):
        return host, False
    for domain in options.canonical_domains:
        try:
            socket.getaddrinfo(f"{host}.{domain}", None)
        except (OSError, UnicodeError):
            continue
        return f"{host}.{domain}", True
    if not options.canonicalize_fallback_local:
        raise OSError(f"{host} is in none of CanonicalDomains, and CanonicalizeFallbackLocal is no")
    return host, False


_NOTHING_FOR_THE_NODE: dict[str, Any] = {
    "agent_forwarding": False,  # root of the node could log in elsewhere with the operator's keys
    "gss_delegate_creds": False,  # the same with Kerberos
    "x11_forwarding": False,  # it could read the operator's keyboard
    "send_env": None,  # variables of the console may be secrets
    "env": None,  # and commands are to do the same from whichever machine they are sent
    "command": None,  # RemoteCommand would run instead of ours
    "request_pty": False,  # output would be changed, and stdout and stderr one
}
"""What ssh_config might hand to a node or ask of it, and does not, whatever it says; for jumps as well."""

_USER_CONFIG = "~/.ssh/config"
_MAX_KEY_BYTES = 64 * 1024
_OPENSSH_KEY = b"openssh-key-v1\0"  # what such a key begins with
_KEY_HEAD_CHARS = 32  # of base64, which are 24 bytes: up to the name of the cipher, if that is "none"
_ALL_HOST_KEYS = "+ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-512,rsa-sha2-256"


@dataclass(frozen=True, slots=True)
class Route:
    """One host, resolved."""

    host: str
    port: int
    user: str
    jumps: tuple[Hop, ...]  # what ProxyJump says, nearest first
    known_hosts: tuple[str, ...]
    keeper: str  # of these, where ssh adds a key; empty when it keeps none
    key_alias: str  # HostKeyAlias: the name that known_hosts has; empty means the host's
    revoked: tuple[str, ...]  # files of host keys that are never accepted
    identities: tuple[str, ...]  # private key files; empty means the usual ones
    has_agent: bool
    arguments: dict[str, Any]  # for asyncssh.connect


def resolve(hop: Hop, settings: "SshSettings", identity: str = "") -> Route:
    """Read the ssh configuration for this host. Blocking.

    Nothing is run for a host, user or port that is not inert: asyncssh puts them into the ProxyCommand while
    it reads the configuration. The configuration itself is the operator's and is trusted, after
    a check of who may write it.

    Raises:
        Untrusted: others may write the configuration.
        NotInert: the host, user or port, as it was given or as the configuration makes it.
        OSError: a file that was named is not there.
        ValueError, asyncssh.Error: the configuration makes no sense.
    """
    hop.check()
    _check_trusted(settings.config)
    # Without keys at first: the configuration may name some that are not there, which ssh passes
    # over but asyncssh does not.
    options = asyncssh.SSHClientConnectionOptions(**_build_arguments(hop, settings), client_keys=None)
    host, canonical = canonical_name(hop.host, options)
    final = options.config.has_match_final()
    if canonical or final:
        options.update(host=host, reload=True, canonical=canonical, final=final)
    check_inert(options.host)
    check_port(options.port)
    for text in (host, hop.user):
        _check_kept(text, options)
    named: Any = [identity] if identity else options.config.get("IdentityFile", ())
    files = [os.path.expanduser(file) for file in named]
    if identity and files[0].startswith("~"):
        raise ValueError(f"found the identity {identity!r}, whose home folder is not known")
    identities = [file for file in files if identity or Path(file).exists()]
    options = _with_changes(options, client_keys=identities if named else ())
    revoked = revoked_files(
        _all_config_files(settings.config), replace(hop, host=host), canonical=canonical, final=final
    )
    return Route(
        host=options.host,
        port=options.port,
        user=options.username,
        jumps=_parse_jumps(hop, options),
        known_hosts=_known_hosts(settings, options),
        keeper=_find_keeper(settings, options),
        key_alias=options.host_key_alias or "",
        revoked=revoked,
        identities=tuple(identities),
        has_agent=bool(options.agent_path),
        arguments={"host": host, "port": options.port, "config": None, "options": options},
    )


def _check_kept(text: str, options: asyncssh.SSHClientConnectionOptions) -> None:
    """Raise NotInert if asyncssh has read a variable in a host or user, which may have a %, as zones do.

    It replaces the variables of an included file when that ends, and again when the including file ends.
    """
    words = options.proxy_command or ()
    if "%" in text and words and not any(text in word for word in words):
        raise NotInert(f"{text!r} cannot be used: it has a %, and its ProxyCommand is in an included file")


def _with_changes(
    options: asyncssh.SSHClientConnectionOptions, **changes: Any
) -> asyncssh.SSHClientConnectionOptions:
    """Return the same options with changes; neither this nor `connect` reads the configuration again.

    What is connected to is then what was checked. Without a file to read, asyncssh takes over all that an
    earlier reading has found, unless it is to reload; and the name of the host is not made canonical twice.
    """
    same = {"config": None, "reload": False, "canonical": False, "final": False}
    return asyncssh.SSHClientConnectionOptions(options, **same, canonicalize_hostname=False, **changes)


def is_encrypted(identity: str) -> bool:
    """Return whether a private key file can be read with a passphrase only, as its header says. Blocking.

    asyncssh raises the same exception for a key that is encrypted and for one that is broken.
    """
    try:
        with open(identity, "rb") as file:
            lines = [line.strip() for line in file.read(_MAX_KEY_BYTES).splitlines()]
    except OSError:
        return False
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" not in lines:
        return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in lines or b"Proc-Type: 4,ENCRYPTED" in lines
    begin = lines.index(b"-----BEGIN OPENSSH PRIVATE KEY-----") + 1
    # Lines may have any length: ssh-keygen writes 70 characters, other programs a single line.
    text = b"".join(lines[begin:])[:_KEY_HEAD_CHARS]
    try:
        # The name of the cipher follows, with its length before it: PROTOCOL.key of OpenSSH.
        head = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return head.startswith(_OPENSSH_KEY) and not head.startswith(_OPENSSH_KEY + b"\0\0\0\4none")


def _check_trusted(config: str) -> None:
    """Check who may write the configuration, which has commands run, such as ProxyCommand.

    As with ssh, only root and this user may write a file that nobody named.

    The files that it includes are not checked: asyncssh reads them.
    """
    writers = Writers.own() if config == _USER_CONFIG else NAMED
    for file in _config_files(config):
        if os.path.isfile(file):  # not /dev/null; the code that reads it reports what cannot be read
            os.close(open_trusted(Path(file), writers))


def _config_files(config: str) -> list[str]:
    path = Path(os.path.expanduser(config))
    # A configuration file that was asked for by name must be there; the usual one need not.
    missing = config.startswith("~") and not path.exists()
    return [] if missing or not config else [str(path)]


def _all_config_files(config: str) -> list[str]:
    """Return the configuration files, that of the machine too, as ssh has it unless another one is named."""
    files = _config_files(config)
    system = config == _USER_CONFIG and Path(SYSTEM_CONFIG).exists()
    return [*files, SYSTEM_CONFIG] if system else files


def _build_arguments(hop: Hop, settings: "SshSettings") -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "host": hop.host,
        "config": _config_files(settings.config),
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
        **_NOTHING_FOR_THE_NODE,
    }
    if hop.user:
        arguments["username"] = hop.user
    if hop.port:
        arguments["port"] = hop.port
    return arguments


def _parse_jumps(hop: Hop, options: asyncssh.SSHClientConnectionOptions) -> tuple[Hop, ...]:
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


def _find_keeper(settings: "SshSettings", options: asyncssh.SSHClientConnectionOptions) -> str:
    """Return the user's file to which ssh adds a key; empty where Vagrant and others have it at /dev/null."""
    user: Any = options.config.get("UserKnownHostsFile", USER_FILES)
    first = settings.known_hosts or next(iter(user), "")
    return "" if first in NOWHERE else str(first)
