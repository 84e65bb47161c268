"""A machine with an unprivileged user who may use sudo, in mount namespaces of its own.

Its sshd has other files for /etc/passwd, /etc/group, /etc/shadow and /etc/sudoers; those of this machine stay
as they are. It takes root.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers.sshd import Sshd, running_sshd

NAME, NUMBER = "rolldeck", 54_321  # of the user; nobody else has it
needs_sudo = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("unshare"),
    reason="needs root, and sudo installed",
)

_LINES = {
    "passwd": f"{NAME}:*:{NUMBER}:{NUMBER}::/tmp:/bin/sh",
    "group": f"{NAME}:x:{NUMBER}:",
    "shadow": f"{NAME}:*:20000::::::",
}
_MOUNT = 'for file in passwd group shadow sudoers; do mount --bind "$0/$file" "/etc/$file"; done && exec "$@"'


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that others may enter, as they may not those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def machine_with_sudo(place: Path, sudoers: str, inside: Sequence[str] = ()) -> Iterator[Sshd]:
    """An sshd into which the user can log in, and what sudo allows there.

    Args:
        place: a folder for its files, which the user may enter.
        sudoers: lines of sudoers(5).
        inside: words before its command, such as those that bring it to a systemd of its own.
    """
    place.mkdir(exist_ok=True)
    for file, line in _LINES.items():
        text = Path("/etc", file).read_text()
        (place / file).write_text(f"{text}{line}\n")
    (place / "shadow").chmod(0o600)
    (place / "sudoers").write_text(f"Defaults !syslog\n{sudoers}")
    (place / "sudoers").chmod(0o440)
    before = (*inside, "unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, str(place))
    with running_sshd(place, before=before, user=NAME) as sshd:
        yield sshd
