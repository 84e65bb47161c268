"""Host keys: their entries in known_hosts files, and those that RevokedHostKeys refuses."""

import contextlib
import functools
import getpass
import json
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.hosts.ssh_channels import SSHClientConfig, asyncssh
from backends.hosts.ssh_settings import Hop

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
NOWHERE = ("/dev/null", "none")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_PLAIN = re.compile(r"[^*?|@!/]*")
"""Hosts of a line that are no patterns, hashes, markers or networks: it is only about those that it names."""


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """The key that a server offered and no known_hosts file has."""

    host: str  # the name that known_hosts is asked for
    port: int
    key: asyncssh.SSHKey

    @property
    def pattern(self) -> str:
        """How known_hosts writes this host."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


def read_known_hosts(files: Sequence[str]) -> asyncssh.SSHKnownHosts:
    """Read all of these files; missing ones are skipped, as are lines that make no sense."""
    versions = []
    for name in files:
        path = os.path.expanduser(name)  # that of an unknown user is a missing file
        with contextlib.suppress(OSError):
            stat = os.stat(path)
            versions.append((path, stat.st_mtime_ns, stat.st_size))
    return _parse(tuple(versions))


def explain(offered: OfferedKey, files: Sequence[str], add_command: str, *, keeper: bool = True) -> str:
    """Return why the key was not accepted, and the commands that help.

    Args:
        offered: what the server showed.
        files: the known_hosts files that were asked.
        add_command: shows the key to the operator and adds it when confirmed.
        keeper: one of the files is where ssh would add a key; else the command names one that is not asked.
    """
    if not keeper:
        add_command += (
            f", and set `known_hosts = {json.dumps(USER_FILES[0])}` in [ssh], because UserKnownHostsFile of"
            " the ssh configuration keeps no keys"
        )
    key_text = f"{offered.key.get_algorithm()} {offered.key.get_fingerprint()}"
    conflict = _conflict(offered, files)
    if conflict is None:
        return (
            f"the host key of {offered.pattern} is not known: it offers {key_text}, and it is not in "
            f"{' or '.join(files) or 'any file'}; compare that with the host's own "
            f"(ssh-keygen -l) and add it: {add_command}"
        )
    file, line, known = conflict
    forget = shlex.join(("ssh-keygen", "-R", offered.pattern, "-f", file))
    return (
        f"the host key of {offered.pattern} HAS CHANGED: it offers {key_text}, but {file} line {line} "
        f"says {known.get_algorithm()} {known.get_fingerprint()}; somebody may be intercepting it. "
        f"If the host was reinstalled, forget the old key: {forget}; then add the new: {add_command}"
    )


def _conflict(offered: OfferedKey, files: Sequence[str]) -> tuple[str, int, asyncssh.SSHKey] | None:
    """Return the first line that names another key for this host, one of the same type if there is any."""
    found: list[tuple[bool, str, int, asyncssh.SSHKey]] = []
    for name in files:
        path = os.path.expanduser(name)
        for number, line in enumerate(_read_lines(Path(path)), 1):
            for key in _find_keys(line, offered):
                other_type = key.get_algorithm() != offered.key.get_algorithm()
                found.append((other_type, path, number, key))
    if not found:
        return None
    return min(found, key=lambda entry: entry[0])[1:]


def _find_keys(line: str, offered: OfferedKey) -> Sequence[asyncssh.SSHKey]:
    # Reading a line takes asyncssh ten microseconds, and a file may have thousands that are about others.
    hosts = line.lower().split(maxsplit=1)[:1]
    if not hosts or (_PLAIN.fullmatch(hosts[0]) and offered.host.lower() not in hosts[0]):
        return ()
    port = None if offered.port == 22 else offered.port
    with contextlib.suppress(ValueError):
        known = asyncssh.import_known_hosts(line)
        keys: Sequence[asyncssh.SSHKey] = known.match(offered.host, "", port)[0]
        return keys
    return ()


@functools.lru_cache(maxsize=16)
def _parse(versions: tuple[tuple[str, int, int], ...]) -> asyncssh.SSHKnownHosts:
    # Cached by time and size: a fleet has one known_hosts, which takes a while to parse.
    text = [line for name, _, _ in versions for line in _read_lines(Path(name)) if _makes_sense(line)]
    return asyncssh.import_known_hosts("\n".join(text))


def _makes_sense(line: str) -> bool:
    try:
        asyncssh.import_known_hosts(line)
    except ValueError:
        return False
    return True


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


SYSTEM_CONFIG = "/etc/ssh/ssh_config"

_KRL = b"SSHKRL\n\0"
_KEYWORD = "RevokedHostKeys"

KnownHosts = Callable[[str, str, int | None], Sequence[Any]]
"""What asyncssh asks: trusted host keys, trusted authorities and revoked keys of a host, address and port."""


class _Config(SSHClientConfig):
    """An ssh configuration with one more keyword."""

    _handlers = {  # noqa: RUF012 - as in the class that it extends
        **SSHClientConfig._handlers,
        _KEYWORD.lower(): (_KEYWORD, SSHClientConfig._set_string_list),
    }
    _percent_expand = {_KEYWORD}  # noqa: RUF012 - as above


def revoked_files(configs: Sequence[str], hop: Hop, *, canonical: bool, final: bool) -> tuple[str, ...]:
    """Return the files of revoked keys that the configuration names for this host. Blocking.

    Raises:
        OSError: a configuration file cannot be read.
        ValueError: it makes no sense.
    """
    config: Any = _Config.load(
        *(None, list(configs), False, canonical, final),
        *(getpass.getuser(), hop.user or (), hop.host, hop.port or ()),
    )
    return tuple(os.path.expanduser(file) for file in config.get(_KEYWORD) or ())


def without_revoked(known_hosts: asyncssh.SSHKnownHosts, files: Sequence[str]) -> KnownHosts:
    """Return known hosts that refuse the keys in these files, for every host. Blocking.

    Raises:
        ValueError: a file is not there or cannot be understood. OpenSSH accepts no host then either.
    """
    revoked = [key for file in files for key in _revoked_keys(file)]

    def match(host: str, address: str, port: int | None) -> Sequence[Any]:
        # Trusted by its name alone, as ssh does: a line for the address is about another name, whose key must
        # not do for this one when a name server lies. Revoked by whatever it is called.
        trusted, authorities, *_ = known_hosts.match(host, "", port)
        known_revoked = [key for at in (port, None) for key in known_hosts.match(host, address, at)[2]]
        return trusted, authorities, [*known_revoked, *revoked]

    return match


def _revoked_keys(file: str) -> Sequence[asyncssh.SSHKey]:
    try:
        stat = os.stat(file)
        return _parse_revoked(file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise ValueError(f"{_KEYWORD}: {file} cannot be read: {error.strerror}") from None


@functools.lru_cache(maxsize=16)
def _parse_revoked(file: str, _changed: int, _size: int) -> tuple[asyncssh.SSHKey, ...]:
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
