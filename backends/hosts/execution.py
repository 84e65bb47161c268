"""Two ways to run a command on a host: `ask` changes something, `look` only reads."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from backends.command import Command, CommandResult
from backends.errors import PermissionDenied, Refused, UnknownOutcome, Unmeasured
from backends.protocols import Host
from backends.text import last_lines

_shared: ContextVar[dict[tuple[int, Command], CommandResult] | None] = ContextVar("shared", default=None)
"""The results of looks, by the identity of the host and the command."""

MAX_WORDS = 400  # characters of an error text; the transcript has all of it

_DENIED = re.compile(
    r"permission denied|access denied|authentication required|must be (run as )?root"
    r"|not in the sudoers|a password is required",
    re.IGNORECASE,
)


def words(result: CommandResult) -> str:
    """What the other side said, on one line: the reason is often not in the last line alone."""
    return _one_line((result.stderr.strip() or result.stdout.strip()).splitlines()) or "(no output)"


def words_of_both(result: CommandResult) -> str:
    """Standard error and the last lines of standard output, on one line.

    What a program runs for its user, such as a package's script, often says on standard output why it failed,
    and standard error only says that it did.
    """
    errors, output = _one_line(result.stderr.splitlines()), _one_line(last_lines(result.stdout))
    if errors and output:
        return f"{errors}; the end of its output: {output}"
    return errors or output or "(no output)"


def _one_line(lines: Iterable[str]) -> str:
    said = "; ".join(stripped for line in lines if (stripped := line.strip()))
    return said if len(said) <= MAX_WORDS else f"...{said[-MAX_WORDS:]}"


def refusal(target: str, what: str, result: CommandResult, said: str = "") -> Refused:
    """The error for a command that ended with a status other than 0; `said` instead of its `words`."""
    kind = PermissionDenied if _DENIED.search(words(result)) else Refused
    reason = f"exit status {result.exit_status}: {said or words(result)}"
    return kind(target, f"{what}: {reason}", reason=reason)


async def ask(
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
        Refused: it ended with a status other than 0; its words are in the text.
        Unreachable, UnknownOutcome: as they come from the host.
    """
    result = await host.run(command, timeout=timeout, track=track)
    if not result.ok:
        raise refusal(host.name, what, result)
    return result


@contextmanager
def sharing_looks() -> Iterator[None]:
    """Within, also in tasks started within, a look that is repeated gets the result of the first one.

    For several questions about one moment. Whoever waits for a change must not be within.
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


async def look(host: Host, command: Command, *, timeout: float) -> CommandResult:
    """Run a command that only reads, whatever its exit status, and keep it out of the transcript.

    See `sharing_looks` for where one is not repeated.

    Raises:
        Unreachable: as it comes from the host.
        Unmeasured: the answer was lost. Nothing can have changed, so it is no `UnknownOutcome`.
    """
    shared = _shared.get()
    if shared is not None and (known := shared.get((id(host), command))) is not None:
        return known
    try:
        result = await host.run(command, timeout=timeout, record=False)
    except UnknownOutcome as error:
        raise Unmeasured(error.target, error.problem) from error
    if shared is not None:
        shared[id(host), command] = result
    return result
