"""Code that all hosts share: it composes commands, reports them and evaluates their results."""

import asyncio
import contextlib
import posixpath
import re
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, cast

from backends.command import (
    Command,
    CommandFinished,
    CommandListener,
    CommandResult,
    CommandSending,
    CommandStarted,
    log_exchange,
    redacted,
)
from backends.errors import (
    BackendError,
    PermissionDenied,
    Refused,
    UnknownOutcome,
    UnreadableReply,
)
from backends.hosts.execution import format_output, is_rehearsal, query, rehearse
from backends.hosts.output import TRACKER, Capture
from backends.hosts.sudo import SudoCall, listing_query, sudo_call, sudo_query, wants_password
from backends.output_stream import KEEPER, OutputStream, Pipes
from backends.shell import Shell
from backends.text import last_lines

if TYPE_CHECKING:
    from backends.protocols import Host

MAX_OUTPUT_BYTES = 1024 * 1024
"""Bytes kept of each of standard output and standard error."""

_NO_QUERY = re.compile(r"^usage: |(invalid|unknown|unrecognized) option", re.IGNORECASE | re.MULTILINE)
_TIMEOUT_EXIT_STATUS = 124  # of timeout(1)
SUDO_TIMEOUT_S = 10.0  # for asking sudo what it would run
READ_FILE_TIMEOUT_S = 10  # for reading a file; then its reader is ended on the host, too

# A device or a pipe has no end, and opening a pipe may never return.
_READ = r"""
if test -e "$1" && ! test -f "$1"; then echo "$1: not a regular file" >&2; exit 1; fi
exec timeout "$3" head -c "$2" -- "$1"
"""

# The answer is a word, because exit status 1 is also what sudo or docker give when they fail themselves.
# A zombie is gone: it holds no file and no port. So is a thread of the kernel, which has no memory of its
# own: when the manager that says a process id is in a container, that number here is often one of those.
# Where /proc hides other people's processes, signal 0 distinguishes "not there" from "not yours".
# The start is the 22nd field of `stat`, the 20th after the name, which may hold anything.
_ALIVE = r"""
started() { stat=$(cat "/proc/$1/stat" 2>/dev/null); set -- ${stat##*) }; echo "${20}"; }
if test -d "/proc/$1"; then
  if grep -q '^State:' "/proc/$1/status" 2>/dev/null && ! grep -q '^VmSize:' "/proc/$1/status" 2>/dev/null
  then echo gone
  elif test "$2" != 0 && test "$(started "$1")" != "$2"; then echo gone
  else echo alive
  fi
elif said=$(LC_ALL=C kill -0 "$1" 2>&1); then echo alive
else case $said in *[Nn]o\ such\ process*) echo gone ;; *) echo "$said" ;; esac
fi"""


# Root's own programs are where sudo looks for them, and often not where a login does. `command -v` would find
# what the shell has itself, such as `test`.
_FIND = r"""
IFS=:
for folder in $PATH:/usr/local/sbin:/usr/sbin:/sbin; do
  if test -f "$folder/$1" && test -x "$folder/$1"; then echo "$folder/$1"; exit; fi
done"""

_PATH = re.compile(r"/[A-Za-z0-9_./+-]+")  # what a node says of itself goes into rules of sudo
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class CommandHost(ABC):
    """A `backends.protocols.Host` without the transport of commands, which subclasses add."""

    def __init__(
        self,
        name: str,
        *,
        sudo: bool = False,
        prefix: str = "",
        listener: CommandListener | None = None,
        max_output: int = MAX_OUTPUT_BYTES,
    ) -> None:
        """Describe a host; no connection is opened yet.

        Args:
            name: the node's name in the configuration; errors and the transcript use it.
            sudo: run everything by `sudo -n`, which fails rather than ask for a password.
            prefix: put before each command and after sudo, such as "docker exec -i app1".
            listener: receives each command with its raw reply.
            max_output: bytes kept of each output stream.

        Raises:
            ValueError: the prefix has an open quote.
        """
        self._name = name
        self._before = (*(("sudo", "-n", "--") if sudo else ()), *shlex.split(prefix))
        self._listener = listener
        self._max_output = max_output

    @property
    def name(self) -> str:
        return self._name

    def render(self, command: Command) -> str:
        """Return the line that would run, with sudo and prefix, quoted."""
        return shlex.join(self._build_argv(command))

    async def run(
        self,
        command: Command,
        *,
        timeout: float = 30.0,
        track: bool = False,
        record: bool = True,
    ) -> CommandResult:
        """See `backends.protocols.Host.run`. Death by signal n is exit status 128 + n.

        When the time is over or the caller is cancelled, the command is left running on its host,
        without anybody who reads its output.
        """
        return await self._run(command, timeout, track=track, record=record, limit=self._max_output)

    async def _run(
        self, command: Command, timeout: float, *, track: bool, record: bool, limit: int
    ) -> CommandResult:
        line = self.render(command)
        if "\0" in line:
            raise Refused(self._name, "an argument contains a NUL byte; nothing was sent")
        if rehearse(self, command, track=track) and record:
            return CommandResult(self._name, line, 0, "", "", 0.0)
        if record and self._listener:
            self._listener(CommandSending(self._name, line))
        capture = self._make_capture(track, limit)
        started_s = time.monotonic()
        try:
            async with self._reporting_process(track and record, line, capture):
                await self._execute(self._build_argv(command, track), capture, timeout)
        except BackendError as error:
            self._record(record, line, error.problem, False, started_s)
            raise
        except asyncio.CancelledError:
            self._record(record, line, "(no longer waited for; it may still be running)", False, started_s)
            raise
        result = self._build_result(line, capture, started_s)
        cut = f"… ({capture.received:,} bytes, of which the rest was left out)" if result.truncated else ""
        self._record(record, line, f"{result.stdout}{result.stderr}{cut}", result.ok, started_s)
        return result

    async def alive(self, pid: int, started: int = 0) -> bool:
        """See `backends.protocols.Host.alive`."""
        command = Command(("sh", "-c", _ALIVE, "sh", str(pid), str(started)))
        result = await query(cast("Host", self), command, timeout=10)  # its subclasses are hosts
        word = result.stdout.strip()
        if word not in ("alive", "gone"):
            raise UnreadableReply(self._name, f"whether process {pid} lives: {result.last_line}")
        return word == "alive"

    async def sudo_refusal(self, command: Command, *, track: bool = False) -> str:
        """See `backends.protocols.Host.sudo_refusal`."""
        asking = sudo_query(self._before, TRACKER if track else (), command)
        if not asking or is_rehearsal():  # in which what would come after a refusal is to be seen
            return ""
        allowed = await self._query(asking)
        if not allowed.ok:
            if not allowed.stdout.strip() and not allowed.stderr.strip():
                return "this login may not run it" if allowed.exit_status == 1 else ""
            # Otherwise it is another sudo that cannot be asked like this, or something before it that failed.
            is_sudo = "sudo" in allowed.stderr and not _NO_QUERY.search(allowed.stderr)
            return format_output(allowed) if is_sudo else ""
        listing = await self._query(listing_query(asking))
        return "a password is required" if wants_password(listing.stdout, allowed.stdout.strip()) else ""

    def sudo_call(self, command: Command, *, track: bool = False) -> SudoCall | None:
        """Return what sudo would run for this command, or None without sudo. Arguments as for `run`.

        Raises:
            UnreadableReply: the command does not show it.
        """
        return sudo_call(self._before, TRACKER if track else (), command)

    @property
    def _before_sudo(self) -> tuple[str, ...]:
        """The prefix, where commands call sudo within it; the host's own sudo comes before it."""
        return () if self._before[:1] == ("sudo",) else self._before

    async def find_program(self, program: str) -> str:
        """Return the path of a program as a login finds it where sudo is called; empty without one."""
        argv = (*self._before_sudo, "sh", "-c", _FIND, "sh", program)
        found = (await self._query(argv)).stdout.strip()
        return found if _PATH.fullmatch(found) and posixpath.basename(found) == program else ""

    async def login_name(self) -> str:
        """Return who calls sudo. Raises UnreadableReply if that cannot be determined."""
        result = await self._query((*self._before_sudo, "id", "-un"))
        name = result.stdout.strip()
        if not result.ok or not _USER.fullmatch(name):
            raise UnreadableReply(self._name, f"the name of the login user: {result.last_line}")
        return name

    async def _query(self, argv: Sequence[str]) -> CommandResult:
        """Run this as it is, without sudo and prefix; never recorded."""
        capture, started_s = self._make_capture(False, self._max_output), time.monotonic()
        await self._execute(argv, capture, SUDO_TIMEOUT_S)
        line = shlex.join(argv)
        result = self._build_result(line, capture, started_s)
        log_exchange(self._name, line, f"{result.stdout}{result.stderr}", result.ok, result.seconds)
        return result

    async def read_file(self, path: str, most_bytes: int) -> str:
        """See `backends.protocols.Host.read_file`."""
        command = Command(("sh", "-c", _READ, "sh", path, str(most_bytes + 1), str(READ_FILE_TIMEOUT_S)))
        with redacted():
            room = max(most_bytes + 1, self._max_output)  # of its standard error, too
            result = await self._run(
                command, 2.0 * READ_FILE_TIMEOUT_S, track=False, record=False, limit=room
            )
        if result.exit_status == _TIMEOUT_EXIT_STATUS:
            raise UnreadableReply(self._name, f"{path} was not read within {READ_FILE_TIMEOUT_S} s")
        if not result.ok:
            denied = "ermission denied" in result.last_line
            raise (PermissionDenied if denied else Refused)(self._name, result.last_line)
        if len(result.stdout.encode()) > most_bytes:
            raise UnreadableReply(self._name, f"{path} is longer than {most_bytes:,} bytes")
        return result.stdout

    @contextlib.asynccontextmanager
    async def stream(self, command: Command) -> AsyncIterator[OutputStream]:
        """See `backends.protocols.Host.stream`."""
        kept = Command((*KEEPER, *command.argv))
        line = self.render(command)
        if "\0" in line:
            raise Refused(self._name, "an argument contains a NUL byte; nothing was sent")
        if rehearse(self, kept, track=False):
            yield OutputStream.of_nothing()
            return
        started_s, stream = time.monotonic(), OutputStream()
        async with self._open_pipes(self._build_argv(kept)) as pipes:
            pumping = asyncio.create_task(stream.pump(pipes))
            try:
                yield stream
            finally:
                pumping.cancel()
                await asyncio.gather(pumping, return_exceptions=True)
                ended = stream.problem or f"exit status {stream.exit_status}"
                ok = stream.exit_status in (0, None) and not stream.problem
                log_exchange(self._name, line, f"({ended})", ok, time.monotonic() - started_s)

    @abstractmethod
    def open_shell(self, term: str, columns: int, rows: int) -> AbstractAsyncContextManager[Shell]:
        """See `backends.protocols.Host.open_shell`."""

    @abstractmethod
    def _open_pipes(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Pipes]:
        """Start a command of `KEEPER`, and close its standard input in the end. Raises Unreachable."""

    @abstractmethod
    async def _execute(self, argv: Sequence[str], capture: Capture, timeout: float) -> None:
        """Run it and fill `capture` to the end, or raise as `backends.protocols.Host.run` does."""

    @contextlib.asynccontextmanager
    async def _reporting_process(self, wanted: bool, line: str, capture: Capture) -> AsyncIterator[None]:
        """Report the process while it runs, so that it is recorded even if this machine dies meanwhile."""

        async def report() -> None:
            await capture.wait_for_pid()
            if self._listener and capture.pid is not None:
                self._listener(CommandStarted(self._name, line, capture.pid, capture.started))

        reporting = asyncio.create_task(report()) if wanted else None
        try:
            yield
        finally:
            if reporting:
                reporting.cancel()
                # What it raised, the record of the end that follows raises too: a full disk stays full.
                await asyncio.gather(reporting, return_exceptions=True)

    def _make_capture(self, track: bool, limit: int) -> Capture:
        return Capture(limit, track=track)

    def _build_argv(self, command: Command, track: bool = False) -> tuple[str, ...]:
        # The tracker goes innermost: its process id must mean something where `alive` checks it,
        # which inside a container is not the process id that the outside sees.
        return (*self._before, *(TRACKER if track else ()), *command.argv)

    async def _await_end(self, capture: Capture, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await capture.finished()
        except TimeoutError:
            capture.lost_because = f"no end within {timeout:g} s"
        if capture.exit_status is None:
            problem = f"{capture.lost_because}; it may still be running"
            if line := (last_lines(capture.stderr) or last_lines(capture.stdout))[-1:]:
                problem += f"; its last line: {line[0]}"
            raise UnknownOutcome(self._name, problem, pid=capture.pid, started=capture.started)

    def _build_result(self, line: str, capture: Capture, started_s: float) -> CommandResult:
        assert capture.exit_status is not None  # noqa: S101 - _execute raises otherwise
        return CommandResult(
            target=self._name,
            command=line,
            exit_status=capture.exit_status,
            stdout=capture.stdout,
            stderr=capture.stderr,
            seconds=time.monotonic() - started_s,
            truncated=capture.truncated,
        )

    def _record(self, wanted: bool, line: str, reply: str, ok: bool, started_s: float) -> None:
        seconds = time.monotonic() - started_s
        if not wanted:
            log_exchange(self._name, line, reply, ok, seconds)
        elif self._listener:
            self._listener(CommandFinished(self._name, line, reply, ok, seconds))
