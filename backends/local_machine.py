"""This machine: its clock, and commands that run on it, with their environment and their children."""

import asyncio
import contextlib
import os
import re
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any


class SystemClock:
    """Implements `backends.protocols.Clock` on the machine's own clocks."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def own_session(*argv: str, **options: Any) -> AsyncIterator[Process]:
    """Start a command that cannot take the console's terminal; at the end it is killed with its children.

    That is also done when the caller is cancelled while it starts: it may have children by then.

    Args:
        argv: the command.
        options: as `asyncio.create_subprocess_exec` takes them.

    Raises:
        OSError: it cannot be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*argv, start_new_session=True, **options))
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _kill(await starting)
        raise
    try:
        yield process
    finally:
        await _kill(process)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


BASE = frozenset({"PATH", "HOME", "SHELL", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
"""The variables that every process gets, with all of LC_*."""

LOGIN = BASE | {"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}
"""The variables of a local command, as over SSH: `systemctl --user` and rootless Podman need the last two."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_secrets = {"CONSUL_HTTP_TOKEN", "CONSUL_HTTP_AUTH"}


def base_environment(names: Collection[str] = (), *, of: Collection[str] = BASE) -> dict[str, str]:
    """Return a small environment.

    Args:
        names: further variables that somebody has asked for; those that are not set are left out.
        of: those that are always in it.
    """
    wanted = {*of, *names}
    return {name: value for name, value in os.environ.items() if name in wanted or name.startswith("LC_")}


def login_environment() -> dict[str, str]:
    """Return the environment of a command which works on a node, when the node is this machine."""
    return base_environment(of=LOGIN)


def operator_environment() -> dict[str, str]:
    """Return the environment of the operator's own tools, such as a password manager or Ansible.

    They use agents and logins of the operator's, so it has everything but Rolldeck's own secrets.
    """
    return {name: value for name, value in os.environ.items() if name not in _secrets}


def keep_secret(names: Iterable[str]) -> None:
    """Keep variables with secrets of Rolldeck from processes, except those for which they are named."""
    _secrets.update(names)


def secret_names(configuration: Mapping[str, Any]) -> set[str]:
    """Return all that a decoded configuration names as the place of a secret: keys such as `password_env`."""
    found: set[str] = set()
    for key, value in configuration.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                found |= secret_names(item)
            elif key.endswith("_env") and isinstance(item, str):
                found.add(item)
    return found


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError for what cannot be the name of a variable."""
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"env: found {name!r}, expected names of variables")
