"""What known_hosts files say of a host key, and what an operator can do about it.

Imports asyncssh, so it is itself imported late.
"""

import contextlib
import functools
import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.hosts.ssh_library import asyncssh

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
NOWHERE = ("/dev/null", "none")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_PLAIN = re.compile(r"[^*?|@!/]*")
"""Hosts of a line that are no patterns, hashes, markers or networks: it is only about those that it names."""


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """The key a server showed and nobody vouched for."""

    host: str  # the name that known_hosts is asked for
    port: int
    key: asyncssh.SSHKey

    @property
    def pattern(self) -> str:
        """How known_hosts writes this host."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


def read_known_hosts(files: Sequence[str]) -> asyncssh.SSHKnownHosts:
    """Everything these files say; missing ones are skipped, as are lines that make no sense."""
    versions = []
    for name in files:
        path = Path(name).expanduser()
        with contextlib.suppress(OSError):
            stat = os.stat(path)
            versions.append((str(path), stat.st_mtime_ns, stat.st_size))
    return _parse(tuple(versions))


def explain(offered: OfferedKey, files: Sequence[str], add_command: str, *, keeper: bool = True) -> str:
    """Why the key was not accepted, and the commands that help.

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
    shown = f"{offered.key.get_algorithm()} {offered.key.get_fingerprint()}"
    conflict = _conflict(offered, files)
    if conflict is None:
        return (
            f"the host key of {offered.pattern} is not known: it offers {shown}, and it is not in "
            f"{' or '.join(files) or 'any file'}; compare that with the host's own "
            f"(ssh-keygen -l) and add it: {add_command}"
        )
    file, line, known = conflict
    forget = shlex.join(("ssh-keygen", "-R", offered.pattern, "-f", file))
    return (
        f"the host key of {offered.pattern} HAS CHANGED: it offers {shown}, but {file} line {line} "
        f"says {known.get_algorithm()} {known.get_fingerprint()}; somebody may be in between. If "
        f"the host was reinstalled, forget the old key: {forget}; then add the new: {add_command}"
    )


def _conflict(offered: OfferedKey, files: Sequence[str]) -> tuple[str, int, asyncssh.SSHKey] | None:
    """The first line that names another key for this host, one of the same type if there is any."""
    found: list[tuple[bool, str, int, asyncssh.SSHKey]] = []
    for name in files:
        for number, line in enumerate(_lines(Path(name).expanduser()), 1):
            for key in _keys(line, offered):
                other_type = key.get_algorithm() != offered.key.get_algorithm()
                found.append((other_type, str(Path(name).expanduser()), number, key))
    if not found:
        return None
    return min(found, key=lambda entry: entry[0])[1:]


def _keys(line: str, offered: OfferedKey) -> Sequence[asyncssh.SSHKey]:
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
    text = [line for name, _, _ in versions for line in _lines(Path(name)) if _makes_sense(line)]
    return asyncssh.import_known_hosts("\n".join(text))


def _makes_sense(line: str) -> bool:
    try:
        asyncssh.import_known_hosts(line)
    except ValueError:
        return False
    return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
