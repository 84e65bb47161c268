"""Where Rolldeck keeps what must outlive it."""

import contextlib
import os
from pathlib import Path


def state_folder() -> Path:
    """The XDG state folder. One that is there and is ours is closed to others: it is for nothing else."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = Path(base) / "rolldeck"
    with contextlib.suppress(OSError):  # whoever uses it says what is wrong with it
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            info = os.fstat(opened)
            if info.st_uid == os.geteuid() and info.st_mode & 0o077:
                os.fchmod(opened, 0o700)
        finally:
            os.close(opened)
    return folder


def journal_path(configured: str) -> Path:
    """The configured path, or `journal.db` in the XDG state folder."""
    return Path(configured).expanduser() if configured else state_folder() / "journal.db"
