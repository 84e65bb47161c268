"""Interactive shells on a host: what is run for one, and how its terminal is connected."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_ENGINES = frozenset(
    {"docker", "podman", "nerdctl", "kubectl", "oc"}
)  # whose `exec` gives no terminal unasked
_BEST_SHELL = "command -v bash >/dev/null 2>&1 && exec bash -l; exec sh -l"


class RemoteTerminal(Protocol):
    """The far end of a terminal, over a network."""

    async def read(self) -> bytes:
        """Return output; empty at the end. Raises Unreachable when the connection is lost."""

    def write(self, data: bytes) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        """Wait for the end and return the exit status. Raises Unreachable when it was lost."""


@dataclass(frozen=True, slots=True)
class LocalShell:
    """A shell on this machine: the caller starts it on its own terminal.

    Attributes:
        argv: what to run.
        environment: its whole environment.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class RemoteShell:
    """A shell on another machine that runs already: the caller connects its terminal with this one."""

    terminal: RemoteTerminal


Shell = LocalShell | RemoteShell


def shell_words(before: Sequence[str]) -> tuple[str, ...]:
    """Return the command for a shell within a prefix; empty without one: the login shell is meant then.

    A host's own `sudo` is for its commands: a person becomes root when that is needed. It remains where there
    is a prefix, which may need it.

    Args:
        before: what the host puts before each command: `sudo -n --`, then the prefix.
    """
    sudo, prefix = (before[:3], before[3:]) if before[:1] == ("sudo",) else ((), before)
    return (*sudo, *with_terminal(prefix), "sh", "-c", _BEST_SHELL) if prefix else ()


def with_terminal(prefix: Sequence[str]) -> tuple[str, ...]:
    """Return a prefix such as `docker exec -i app1` with the options for a terminal.

    Other programs, such as `nsenter` and `lxc exec`, need none.
    """
    words = tuple(prefix)
    if "exec" not in words:
        return words
    at = words.index("exec")
    names = [word.rpartition("/")[2] for word in words[:at]]
    if "compose" in names or "docker-compose" in names:
        return tuple(word for word in words if word not in ("-T", "--no-TTY"))
    if not _ENGINES.intersection(names):
        return words
    return (*words[: at + 1], "-it", *words[at + 1 :])
