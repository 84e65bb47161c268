"""Where Rolldeck keeps what must outlive it."""

import os
from pathlib import Path


def journal_path(configured: str) -> Path:
    """The configured path, or `journal.db` in the XDG state folder."""
    if configured:
        return Path(configured).expanduser()
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "rolldeck" / "journal.db"
