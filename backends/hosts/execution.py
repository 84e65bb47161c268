"""How commands run on hosts: `execute` changes something, `query` only reads, and a rehearsal shows both."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from backends.command import Command, CommandResult
from backends.errors import PermissionDenied, Refused, UnknownOutcome, UnreadableReply
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

    A query within `shared_queries` is not repeated.

    Raises:
        Unreachable: as it comes from the host.
        UnreadableReply: the answer was lost. Nothing can have changed, so it is no `UnknownOutcome`.
    """
    shared = _shared.get()
    if shared is not None and (known := shared.get((id(host), command))) is not None:
        return known
    try:
        result = await host.run(command, timeout=timeout, record=False)
    except UnknownOutcome as error:
        raise UnreadableReply(error.target, error.problem) from error
    if shared is not None:
        shared[id(host), command] = result
    return result


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
