"""Secrets, which are read from the sources that the configuration names, and are never shown.

A configuration names the environment variable, the file or the command that holds a password, never
the password itself, so that the configuration can be committed, copied and printed.
"""

import asyncio
import os
import re
import stat
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any, NoReturn

from backends.errors import ConfigError
from backends.file_trust import Writers, find_owner_problem
from backends.local_machine import operator_environment, own_session

COMMAND_TIMEOUT_S = 30.0  # a password manager may ask a human to unlock it


_known: set[str] = set()  # all that was read, for `redact`
_AUTHORIZATION = re.compile(r"""(authorization['"]?\s*[:=]\s*['"]?)[^\r\n'"]+""", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]*@")


class Secret:
    """Holds one secret. Printing, formatting or representing it shows ``Secret(***)``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, only to hand it to what needs it, at the last moment."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into a file by accident."""
        raise TypeError("a Secret cannot be serialized")


async def load_secret(env: str, file: str, command: str, what: str) -> Secret | None:
    """Read a secret from the one place that is given.

    Args:
        env: name of an environment variable; empty when not used.
        file: path of a file of ours or root's that only its owner may read; one trailing newline is dropped.
        command: shell command whose standard output is the secret; one trailing newline is dropped.
        what: the configuration's name for it, such as ``haproxy.lb1.password``; errors carry it.

    Returns:
        The secret, or None when no place is given.

    Raises:
        ConfigError: more than one place, nothing there, or a file that others can read.
    """
    sources = {"_env": env, "_file": file, "_command": command}
    given = [suffix for suffix, value in sources.items() if value]
    if not given:
        return None
    if len(given) > 1:
        keys = ", ".join(f"{what}{suffix}" for suffix in given)
        raise ConfigError("", what, f"more than one place for it ({keys}); keep one")
    key = what + given[0]
    if env:
        return _check(_from_environment(env, key), key)
    if file:
        return _check(await asyncio.to_thread(_from_file, file, key), key)
    return _check(await _from_command(command, key), key)


def redact(text: str) -> str:
    """Return the text without secrets that were read, Authorization headers and passwords in URLs."""
    for value in sorted(_known, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(value, "***")
    return _IN_URL.sub("***@", _AUTHORIZATION.sub(r"\1***", text))


def _check(value: str, key: str) -> Secret:
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigError("", key, "the secret is empty")
    _known.add(value)
    return Secret(value)


def _from_environment(name: str, key: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ConfigError("", key, f"environment variable {name} is not set")
    return value


def _from_file(name: str, key: str) -> str:
    try:
        path = Path(name).expanduser()
        with path.open(encoding="utf-8") as stream:
            info = os.fstat(stream.fileno())
            mode = stat.S_IMODE(info.st_mode)
            if problem := find_owner_problem(info, Writers.own().users or frozenset()):
                raise ConfigError("", key, f"{path} {problem}")
            if mode & 0o077:
                problem = f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}"
                raise ConfigError("", key, problem)
            return stream.read()
    except RuntimeError:
        raise ConfigError("", key, f"found {name!r}, whose home folder is not known") from None
    except OSError as error:
        raise ConfigError("", key, f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        # "from None": the decoding error would carry the file's bytes into a traceback
        raise ConfigError("", key, f"{path} is not UTF-8 text") from None


async def _from_command(command: str, key: str) -> str:
    options: dict[str, Any] = {"stdin": DEVNULL, "stdout": PIPE, "env": operator_environment()}
    async with own_session("/bin/sh", "-c", command, **options) as process:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                output, _ = await process.communicate()
        except TimeoutError:
            problem = f"`{command}` did not end within {COMMAND_TIMEOUT_S:g} s"
            raise ConfigError("", key, problem) from None
    if process.returncode:
        raise ConfigError("", key, f"`{command}` failed with exit status {process.returncode}")
    try:
        return output.decode()
    except UnicodeDecodeError:
        raise ConfigError("", key, f"`{command}` did not print UTF-8 text") from None
