"""The log of a service where the configuration says where it is, and the reading of its last lines."""

import asyncio
import posixpath
import shlex
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from backends.command import Command
from backends.hosts.execution import is_rehearsal
from backends.node_state import LogSource
from backends.output_stream import OutputStream
from backends.protocols import Host
from backends.templates import LogShell, NodeText, TaggedSettings, fill, fill_plain
from backends.text import MAX_LAST_LINES, last_lines

LAST_LINES_TIMEOUT_S = 4.0  # for a log that the configuration names
QUIET_S = 1.0  # without a line, after which the last lines of a command that goes on are complete


class LoggedSettings(TaggedSettings, kw_only=True, frozen=True):
    """Base of the settings of a service: where its log is, if not where its manager keeps it.

    Attributes:
        log: path of the log on the node; it is followed when the file is replaced.
        log_command: shell command that prints the last `{lines}` lines of the log, and then what is written.
    """

    log: NodeText = ""
    log_command: LogShell = ""

    def __post_init__(self) -> None:
        if self.log and self.log_command:
            raise ValueError("log: found beside log_command, expected only one of them")
        if self.log and not self.log.startswith("/"):
            raise ValueError(f"log: found {self.log[:128]!r}, expected an absolute path")


Settings = TypeVar("Settings", bound=LoggedSettings)


class LoggedService(ABC, Generic[Settings]):
    """Base of the service managers: a log that the configuration names is read instead of the manager's own.

    Args:
        host: where the service is.
        settings: the settings in the configuration.
        values: the values of placeholders in templates.
    """

    def __init__(self, host: Host, settings: Settings, values: Mapping[str, str]) -> None:
        self._host = host
        self._settings = settings
        self._values = values

    async def last_lines(self) -> tuple[str, ...]:
        """See `ServiceManager.last_lines`."""
        source = self._configured_log(MAX_LAST_LINES, follow=False)
        if source is None:
            return await self._own_last_lines()
        if await self._host.sudo_refusal(source.command) and not is_rehearsal():
            return ()
        found = await read_last_lines(self._host, source, MAX_LAST_LINES, LAST_LINES_TIMEOUT_S)
        return last_lines("\n".join(found))

    async def log_source(self, lines: int, *, follow: bool) -> LogSource:
        """See `ServiceManager.log_source`."""
        return self._configured_log(lines, follow=follow) or await self._own_log(lines, follow=follow)

    def _configured_log(self, lines: int, *, follow: bool) -> LogSource | None:
        """Return the log that the configuration names; None without one."""
        if self._settings.log_command:
            filled = fill(self._settings.log_command, {**self._values, "lines": str(lines)})
            return LogSource("log_command", Command.shell(filled))
        if self._settings.log:
            path = fill_plain(self._settings.log, self._values)
            return file_log(path, lines, follow=follow, before=self._words_before_log())
        return None

    def _words_before_log(self) -> tuple[str, ...]:
        """Return the words before a command that reads a file, such as `sudo -n`."""
        return ()

    @abstractmethod
    async def _own_last_lines(self) -> tuple[str, ...]:
        """Return `ServiceManager.last_lines` where the configuration names no log."""

    @abstractmethod
    async def _own_log(self, lines: int, *, follow: bool) -> LogSource:
        """Return `ServiceManager.log_source` where the configuration names no log."""


def file_log(
    path: str, lines: int, *, follow: bool, before: Sequence[str] = (), about: str = ""
) -> LogSource:
    """Return a log in a file; see `LogSource`. `tail -F` opens a file again that was replaced."""
    going_on = ("-F",) if follow else ()
    command = Command((*before, "tail", "-n", str(lines), *going_on, "--", path))
    return LogSource(path, command, ends=not follow, about=about)


def words_before(command: str, program: str) -> tuple[str, ...]:
    """Return the words before a program in a call, such as `sudo -n`; none if another program is called."""
    words = shlex.split(command)
    names = [posixpath.basename(word) for word in words]
    return tuple(words[: names.index(program)]) if program in names else ()


def pick_lines(lines: Iterable[str], about: str) -> list[str]:
    """Return the lines that have this text, whatever its case; all of them when it is empty."""
    text = about.casefold()
    return [line for line in lines if not text or text in line.casefold()]


async def read_last_lines(host: Host, source: LogSource, most: int, timeout: float) -> Sequence[str]:
    """Read the end of a log: lines as `clean_line` makes them, oldest first; none if it cannot be read.

    Args:
        host: where.
        source: what; a command that goes on is ended when it has printed nothing for `QUIET_S`.
        most: how many lines.
        timeout: seconds for all of it.

    Raises:
        Unreachable: the command was not started.
    """
    found = deque[str](maxlen=most)
    async with host.stream(source.command) as stream:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await collect_lines(stream, source, found)
        return () if stream.exit_status or stream.problem else tuple(found)


async def collect_lines(
    stream: OutputStream, source: LogSource, found: deque[str], first_s: float | None = None
) -> None:
    """Add the lines of a log until its command ends or, if it goes on, has printed nothing for `QUIET_S`.

    Args:
        stream: the output of the command.
        source: what is read.
        found: gets the lines that are about the service.
        first_s: how long the first line of a command that goes on is waited for; None: without a limit.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(None if source.ends else first_s) as quiet:
            while lines := await stream.read_lines():
                found.extend(pick_lines(lines, source.about))
                if not source.ends:
                    quiet.reschedule(asyncio.get_running_loop().time() + QUIET_S)
