"""Which variables the processes get that Rolldeck starts on this machine.

Rolldeck's own environment may hold tokens of any of its parts, and of whatever else the operator works with.
A process gets what it needs, and nothing that was meant for another.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

BASE = frozenset({"PATH", "HOME", "SHELL", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
"""What every process gets, with all of LC_*."""

LOGIN = BASE | {"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}
"""What a command on this machine gets, as over SSH: `systemctl --user` and rootless Podman need the rest."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_secrets = {"CONSUL_HTTP_TOKEN", "CONSUL_HTTP_AUTH"}


def base_environment(names: Collection[str] = (), *, of: Collection[str] = BASE) -> dict[str, str]:
    """A small environment.

    Args:
        names: further variables that somebody has asked for; those that are not set are left out.
        of: those that are always in it.
    """
    wanted = {*of, *names}
    return {name: value for name, value in os.environ.items() if name in wanted or name.startswith("LC_")}


def login_environment() -> dict[str, str]:
    """That of a command which works on a node, when the node is this machine."""
    return base_environment(of=LOGIN)


def operator_environment() -> dict[str, str]:
    """That of the operator's own tools, such as a password manager or Ansible, which work with agents and
    logins of the operator's: all of it without the secrets of Rolldeck's other parts.
    """
    return {name: value for name, value in os.environ.items() if name not in _secrets}


def keep_secret(names: Iterable[str]) -> None:
    """These variables hold secrets of Rolldeck's own: no process gets them unless it is told by name."""
    _secrets.update(names)


def secret_names(configuration: Mapping[str, Any]) -> set[str]:
    """All that a decoded configuration names as the place of a secret: keys such as `password_env`."""
    found: set[str] = set()
    for key, value in configuration.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                found |= secret_names(each)
            elif key.endswith("_env") and isinstance(each, str):
                found.add(each)
    return found


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError for what cannot be the name of a variable."""
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"env: found {name!r}, expected names of variables")
