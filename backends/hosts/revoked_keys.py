"""Host keys that RevokedHostKeys of the ssh configuration names: they are never accepted.

asyncssh does not know this keyword and would pass over it. It has to be obeyed: a key is listed there because
somebody else has it.

Imports asyncssh, so it is itself imported late.
"""

import functools
import getpass
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backends.hosts.hop import Hop
from backends.hosts.ssh_library import SSHClientConfig, asyncssh

SYSTEM_CONFIG = "/etc/ssh/ssh_config"

_KRL = b"SSHKRL\n\0"
_KEYWORD = "RevokedHostKeys"

KnownHosts = Callable[[str, str, int | None], Sequence[Any]]
"""What asyncssh asks: trusted host keys, trusted authorities and revoked keys of a host, address and port."""


class _Config(SSHClientConfig):
    """An ssh configuration with the one keyword more."""

    _handlers = {  # noqa: RUF012 - as in the class that it extends
        **SSHClientConfig._handlers,
        _KEYWORD.lower(): (_KEYWORD, SSHClientConfig._set_string_list),
    }
    _percent_expand = {_KEYWORD}  # noqa: RUF012


def revoked_files(configs: Sequence[str], hop: Hop, *, canonical: bool, final: bool) -> tuple[str, ...]:
    """The files that are named for this host. Blocking.

    Raises:
        OSError: a configuration file cannot be read.
        ValueError: it makes no sense.
    """
    config: Any = _Config.load(
        *(None, list(configs), False, canonical, final),
        *(getpass.getuser(), hop.user or (), hop.host, hop.port or ()),
    )
    return tuple(str(Path(file).expanduser()) for file in config.get(_KEYWORD) or ())


def without_revoked(known_hosts: asyncssh.SSHKnownHosts, files: Sequence[str]) -> KnownHosts:
    """Known hosts among which the keys in these files are revoked, for every host. Blocking.

    Raises:
        ValueError: a file is not there or cannot be understood. OpenSSH accepts no host then either.
    """
    revoked = [key for file in files for key in _keys(file)]

    def match(host: str, address: str, port: int | None) -> Sequence[Any]:
        # Trusted by its name alone, as ssh does: a line for the address is about another name, whose key must
        # not do for this one when a name server lies. Revoked by whatever it is called.
        trusted, authorities, *_ = known_hosts.match(host, "", port)
        known_revoked = [key for at in (port, None) for key in known_hosts.match(host, address, at)[2]]
        return trusted, authorities, [*known_revoked, *revoked]

    return match


def _keys(file: str) -> Sequence[asyncssh.SSHKey]:
    try:
        stat = os.stat(file)
        return _parse(file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise ValueError(f"{_KEYWORD}: {file} cannot be read: {error.strerror}") from None


@functools.lru_cache(maxsize=16)
def _parse(file: str, _changed: int, _size: int) -> tuple[asyncssh.SSHKey, ...]:
    # Cached by time and size, as known_hosts are: one file for a fleet.
    content = Path(file).read_bytes()
    if content.startswith(_KRL):
        raise ValueError(
            f"{_KEYWORD}: {file} is a key revocation list, which cannot be read here;"
            " expected a text with one public key on each line"
        )
    keys = []
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            keys.append(asyncssh.import_public_key(line.strip()))
        except (asyncssh.KeyImportError, ValueError):
            raise ValueError(f"{_KEYWORD}: {file} line {number}: expected a public key") from None
    return tuple(keys)
