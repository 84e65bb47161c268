"""The log of a service where the configuration says where it is, and the reading of its last lines."""

import asyncio
import posixpath
import shlex
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from backends.command import Command
from backends.hosts.execution import is_rehearsal
from backends.node_state import LogSource
from backends.output_stream import OutputStream
from backends.protocols import Host
from backends.templates import LogShell, NodeText, TaggedSettings, fill, fill_plain
from backends.text import last_lines

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


def configured_log(
    settings: LoggedSettings,
    values: Mapping[str, str],
    lines: int,
    *,
    follow: bool,
    before: Sequence[str] = (),
) -> LogSource | None:
    """Return the log that the configuration names; None without one.

    Args:
        settings: of the service.
        values: the values of placeholders.
        lines: how many of its last lines are printed first.
        follow: whether to go on with what is written.
        before: words before each command, such as `sudo -n`.
    """
    if settings.log_command:
        filled = fill(settings.log_command, {**values, "lines": str(lines)})
        return LogSource("log_command", Command.shell(filled))
    if settings.log:
        return file_log(fill_plain(settings.log, values), lines, follow=follow, before=before)
    return None


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
                await _collect(stream, source, found)
        return () if stream.exit_status or stream.problem else tuple(found)


async def _collect(stream: OutputStream, source: LogSource, found: deque[str]) -> None:
    limit = None if source.ends else QUIET_S
    async with asyncio.timeout(None) as quiet:
        while lines := await stream.read_lines():
            found.extend(pick_lines(lines, source.about))
            if limit is not None:
                quiet.reschedule(asyncio.get_running_loop().time() + limit)


async def last_configured_lines(
    host: Host, settings: LoggedSettings, values: Mapping[str, str], most: int, before: Sequence[str] = ()
) -> tuple[str, ...] | None:
    """Return `ServiceManager.last_lines` from the log that the configuration names; None without one."""
    source = configured_log(settings, values, most, follow=False, before=before)
    if source is None:
        return None
    if await host.sudo_refusal(source.command) and not is_rehearsal():
        return ()
    return last_lines("\n".join(await read_last_lines(host, source, most, LAST_LINES_TIMEOUT_S)))
