"""Execution of commands on hosts, and obstacles that would prevent it.

`execute` changes something, `query` only reads, and a rehearsal shows both. Obstacles are found by queries,
without running the command itself.
"""

import re
import shlex
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from backends.command import Command, CommandResult
from backends.errors import PermissionDenied, Refused, UnknownOutcome, UnreadableReply
from backends.node_state import ServiceState
from backends.protocols import Host
from backends.text import last_lines

_shared: ContextVar[dict[tuple[int, Command], CommandResult] | None] = ContextVar("shared", default=None)
"""The results of queries, by the identity of the host and the command."""

MAX_OUTPUT_CHARS = 400  # of an error text; the transcript has all of the output

_DENIED = re.compile(
    r"permission denied|access denied|authentication required|must be (run as )?root"
    r"|not in the sudoers|a password is required",
    re.IGNORECASE,
)


def format_output(result: CommandResult) -> str:
    """Return the output of a command on one line: the reason is often not in the last line alone."""
    return _one_line((result.stderr.strip() or result.stdout.strip()).splitlines()) or "(no output)"


def format_both_outputs(result: CommandResult) -> str:
    """Return standard error and the last lines of standard output, on one line.

    What a program runs for its user, such as a package's script, often says on standard output why it failed,
    and standard error only says that it did.
    """
    errors, output = _one_line(result.stderr.splitlines()), _one_line(last_lines(result.stdout))
    if errors and output:
        return f"{errors}; the end of its output: {output}"
    return errors or output or "(no output)"


def _one_line(lines: Iterable[str]) -> str:
    text = "; ".join(stripped for line in lines if (stripped := line.strip()))
    return text if len(text) <= MAX_OUTPUT_CHARS else f"...{text[-MAX_OUTPUT_CHARS:]}"


def refused_error(target: str, what: str, result: CommandResult, text: str = "") -> Refused:
    """Return the error for a command that ended with a status other than 0.

    Args:
        target: the host.
        what: what the command is for, such as ``stop shop``.
        result: how it ended.
        text: the reason; by default the output of the command.
    """
    kind = PermissionDenied if _DENIED.search(format_output(result)) else Refused
    reason = f"exit status {result.exit_status}: {text or format_output(result)}"
    return kind(target, f"{what}: {reason}", reason=reason)


async def execute(
    host: Host, command: Command, what: str, *, timeout: float, track: bool = False
) -> CommandResult:
    """Run a command that changes something.

    Args:
        host: where.
        command: what to run.
        what: what it is for, in words, such as ``stop shop``; errors begin with it.
        timeout: seconds for the command to end.
        track: see `Host.run`.

    Raises:
        Refused: it ended with a status other than 0; the text has its output.
        Unreachable, UnknownOutcome: as they come from the host.
    """
    result = await host.run(command, timeout=timeout, track=track)
    if not result.ok:
        raise refused_error(host.name, what, result)
    return result


@contextmanager
def shared_queries() -> Iterator[None]:
    """Give a query that is repeated within, also in tasks started within, the result of the first one.

    This is for several questions about one moment. Code that waits for a change must not run within.
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


async def query(host: Host, command: Command, *, timeout: float) -> CommandResult:
    """Run a command that only reads, whatever its exit status, and keep it out of the transcript.

    If its connection is lost, it is run once more in the time that is left. A query within `shared_queries`
    is not repeated otherwise.

    Raises:
        Unreachable: as it comes from the host.
        UnreadableReply: the answer was lost. Nothing can have changed, so it is no `UnknownOutcome`.
    """
    shared = _shared.get()
    if shared is not None and (known := shared.get((id(host), command))) is not None:
        return known
    try:
        result = await _run_twice_at_most(host, command, timeout)
    except UnknownOutcome as error:
        raise UnreadableReply(error.target, error.problem) from error
    if shared is not None:
        shared[id(host), command] = result
    return result


async def _run_twice_at_most(host: Host, command: Command, timeout: float) -> CommandResult:
    began_s = time.monotonic()
    try:
        return await host.run(command, timeout=timeout, record=False)
    except UnknownOutcome:
        left_s = began_s + timeout - time.monotonic()
        if left_s <= 0:  # its time was over, and the connection may be all right
            raise
        return await host.run(command, timeout=left_s, record=False)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One command that a host received in a rehearsal; see `Host.run`."""

    host: object
    command: Command
    track: bool


_rehearsed: ContextVar[list[Rehearsed] | None] = ContextVar("rehearsed", default=None)


@contextmanager
def rehearsing() -> Iterator[list[Rehearsed]]:
    """Collect the commands of this context and of tasks started in it, without changing anything.

    A recorded command is not run and succeeds without output. A command that is not recorded only reads (see
    `query`), and is run. Yields all of them in their order.
    """
    commands: list[Rehearsed] = []
    token = _rehearsed.set(commands)
    try:
        yield commands
    finally:
        _rehearsed.reset(token)


def rehearse(host: object, command: Command, *, track: bool) -> bool:
    """Note the command if this is a rehearsal, and return whether it is one."""
    commands = _rehearsed.get()
    if commands is None:
        return False
    commands.append(Rehearsed(host, command, track))
    return True


def is_rehearsal() -> bool:
    """Return whether this runs within `rehearsing`."""
    return _rehearsed.get() is not None


def assume(condition: bool) -> bool:
    """Return the condition, or True in a rehearsal, which shows each command that may become necessary."""
    return condition or is_rehearsal()


QUERY_TIMEOUT_S = 10.0

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.+@:,/-]+")
_WRAPPERS = frozenset({"command", "env", "exec", "nohup", "setsid"})  # the program comes after them
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)

# `command -v` finds what a shell has itself, too. Of a path it says in some shells only that it is there.
_PROGRAM_EXISTS = r"""
case $1 in
*/*) test -f "$1" && test -x "$1" ;;
*) command -v -- "$1" >/dev/null 2>&1 ;;
esac && echo there || echo missing"""


async def command_obstacles(
    host: Host, commands: Mapping[str, Command], *, track: bool, programs: bool = False
) -> tuple[str, ...]:
    """Return why commands could not run, as text; empty when nothing prevents them.

    Args:
        host: where they would run.
        commands: the commands by their purposes, such as "stop".
        track: whether they would be tracked, see `Host.run`.
        programs: also check that the program of each command exists; needless where another call of the
            same program has just answered.

    Raises:
        BackendError: the host does not answer.
    """
    found: dict[str, None] = {}
    for purpose, command in commands.items():
        if problem := await host.sudo_refusal(command, track=track):
            found[f"sudo would not run the command for {purpose}, `{host.render(command)}`: {problem}"] = None
        elif programs and (program := first_program(command)) and not await _program_exists(host, program):
            found[f"the program of the command for {purpose} is not there: {program}"] = None
    return tuple(found)


async def process_obstacles(
    host: Host, manager: str, pid: int | None, look_again: Callable[[], Awaitable[ServiceState]]
) -> tuple[str, ...]:
    """Return why the process of a running service is not visible where commands run; empty if it is.

    In that case the manager is in a container and reports the container's process ids. On the host such an id
    belongs to another process, which never ends, or to none, so that a service that still runs would be
    taken for one that has ended.

    Args:
        host: where commands run.
        manager: the name of the manager that reports the process id. A manager that does not notice at once
            that a process has ended reports a process that has just ended, too.
        pid: the process id that the manager reports.
        look_again: reads the state of the service again.

    Raises:
        BackendError: the manager does not answer.
    """
    if pid is None or is_rehearsal():  # a rehearsal needs no query for the process id
        return ()
    try:
        if await host.alive(pid):
            return ()
    except UnreadableReply:
        return ()  # the stop and the start will say so
    if (await look_again()).pid != pid:
        return ()
    return (
        f"{manager} says that the service is process {pid}, and the node has no such process: when"
        f" {manager} is in a container, let all commands run there by `prefix`, as `docker exec -i NAME`",
    )


def first_program(command: Command) -> str:
    """Return the program that a command begins with; empty if that shows only when it runs."""
    words = list(command.argv)
    if command.argv[:2] == ("sh", "-c") and len(command.argv) == 3:
        try:
            words = shlex.split(command.argv[2])
        except ValueError:
            return ""
    if any(word.startswith("PATH=") for word in words):
        return ""  # the program is searched for elsewhere
    rest = (word for word in words if not _ASSIGNMENT.fullmatch(word))
    program = next((word for word in rest if word not in _WRAPPERS), "")
    return program if _PLAIN_WORD.fullmatch(program) and not program.startswith("-") else ""


async def _program_exists(host: Host, program: str) -> bool:
    command = Command(("sh", "-c", _PROGRAM_EXISTS, "sh", program))
    result = await query(host, command, timeout=QUERY_TIMEOUT_S)
    # Only this word counts: sudo or a container in between may answer something else.
    return result.stdout.strip() != "missing"
