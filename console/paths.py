"""Where Rolldeck's own files are: in the user's XDG folders, unless the configuration names others."""

import contextlib
import os
from pathlib import Path

from platformdirs.unix import Unix

from backends.errors import ConfigError

CONFIG_FILE = "config.toml"
_FOLDERS = Unix("rolldeck")  # everywhere: on macOS, too, the files are where XDG has them


def find_config() -> Path:
    """./config.toml, or else that of the XDG configuration folder.

    Raises:
        ConfigError: there is none; the text names both.
    """
    own = Path(CONFIG_FILE)
    if os.path.isfile(own):  # Path.is_file raises in a folder that may not be read
        return own
    users = _user_folder("XDG_CONFIG_HOME") / CONFIG_FILE
    if os.path.isfile(users):
        return users
    problem = f"no configuration: looked for {own} and {users}; `rolldeck init` writes one"
    raise ConfigError("", "", problem)


def state_folder() -> Path:
    """The XDG state folder. One that exists and is ours is closed to others: it has no other use.

    Raises:
        ConfigError: nobody knows where it is.
    """
    folder = _user_folder("XDG_STATE_HOME")
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
    """`path` of `[journal]`, or `journal.db` in the state folder. Raises ConfigError as `state_folder`."""
    return _expand(configured, "journal.path") if configured else state_folder() / "journal.db"


def log_path(configured: str) -> Path:
    """`path` of `[log]`, or `rolldeck.log` in the state folder. Raises ConfigError as `state_folder`."""
    return _expand(configured, "log.path") if configured else state_folder() / "rolldeck.log"


def _user_folder(variable: str) -> Path:
    """Rolldeck's folder below the one that this variable names, or below its default.

    A relative path in the variable counts, from the working directory. platformdirs ignores one, as the
    specification asks for; but then a journal would not be found where it has been written all along.
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
