"""The paths of Rolldeck's own files: in the user's XDG folders, unless the configuration names others."""

import contextlib
import os
from pathlib import Path

from platformdirs.unix import Unix

from backends.errors import ConfigError

CONFIG_FILE = "config.toml"
_FOLDERS = Unix("rolldeck")  # on macOS, too


def find_config() -> Path:
    """Return ./config.toml, or else the one in the XDG configuration folder.

    Raises:
        ConfigError: there is no such file; the text names both paths.
    """
    local = Path(CONFIG_FILE)
    if os.path.isfile(local):  # Path.is_file raises in an unreadable folder
        return local
    users = _user_folder("XDG_CONFIG_HOME") / CONFIG_FILE
    if os.path.isfile(users):
        return users
    problem = f"no configuration: looked for {local} and {users}; `rolldeck init` writes one"
    raise ConfigError("", "", problem)


def state_folder() -> Path:
    """Return the XDG state folder; if it exists and is ours, close it to other users.

    Raises:
        ConfigError: the home folder is unknown.
    """
    folder = _user_folder("XDG_STATE_HOME")
    with contextlib.suppress(OSError):  # its user will report what is wrong with it
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            info = os.fstat(opened)
            if info.st_uid == os.geteuid() and info.st_mode & 0o077:
                os.fchmod(opened, 0o700)
        finally:
            os.close(opened)
    return folder


def journal_path(configured: str) -> Path:
    """Return `path` of `[journal]`, or `journal.db` in the state folder. Raises ConfigError as that does."""
    return _expand(configured, "journal.path") if configured else state_folder() / "journal.db"


def log_path(configured: str) -> Path:
    """Return `path` of `[log]`, or `rolldeck.log` in the state folder. Raises ConfigError as that does."""
    return _expand(configured, "log.path") if configured else state_folder() / "rolldeck.log"


def _user_folder(variable: str) -> Path:
    """Return Rolldeck's folder below the one that this variable names, or below its default.

    A relative path counts from the working directory. platformdirs ignores it, as the specification demands,
    but then a journal that was written there would not be found any more.
    """
    named = os.environ.get(variable, "")
    if named and not os.path.isabs(named):
        return Path(named) / "rolldeck"
    try:
        return _FOLDERS.user_config_path if variable == "XDG_CONFIG_HOME" else _FOLDERS.user_state_path
    except RuntimeError:
        raise ConfigError("", "", f"the home folder is not known: set HOME or {variable}") from None


def _expand(path: str, key: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError("", key, f"found {path!r}, whose home folder is not known") from None
