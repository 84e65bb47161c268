"""The log of a node's service as an operator follows it, across restarts and lost connections."""

import re
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from backends.errors import BackendError, PermissionDenied, Refused, RolldeckError, UnknownOutcome
from backends.node_state import LogSource
from backends.output_stream import OutputStream
from backends.protocols import Clock
from backends.services.log import QUIET_S, collect_lines, pick_lines
from orchestrator.node import Node

MAX_LOG_LINES = 10_000  # that can be asked for
LINES_AGAIN = 20  # of the log, once it is read again after an interruption
PAUSES_S = (1.0, 2.0, 5.0, 10.0)  # before it is read again; the last one from then on
STEADY_S = 30.0  # for which it must have been read, for the first pause to be the next one again
_DENIED = re.compile(r"permission denied|a password is required|not allowed|insufficient permissions", re.I)


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a log as it arrives.

    Attributes:
        source: what is read, in words; empty while that is not known.
        lines: of the log, oldest first; harmless to print.
        note: what Rolldeck says about it, such as why it has ended; empty with lines.
    """

    source: str
    lines: Sequence[str] = ()
    note: str = ""


async def read_log(node: Node, lines: int) -> list[str]:
    """Read the last lines of the log of a node's service, oldest first.

    Raises:
        BackendError: it cannot be read; the text says why.
    """
    source = await node.service.log_source(lines, follow=False)
    found = deque[str](maxlen=lines)
    async with node.host.stream(source.command) as stream:
        await collect_lines(stream, source, found, QUIET_S)
        if stream.exit_status or stream.problem:
            raise _explain_end(node.name, source, stream)
    return list(found)


async def follow_log(node: Node, lines: int, clock: Clock) -> AsyncGenerator[LogPart, None]:
    """Follow the log of a node's service for ever, from its last lines on.

    When the command that prints it ends, as with a container, or when the node cannot be reached, a note says
    so, and it is read again after a pause, with a few of its last lines.

    Args:
        node: the node.
        lines: how many of its last lines come first; later `LINES_AGAIN`, at most.
        clock: for the pauses.
    """
    failures, last_note = 0, ""
    while True:
        began_s, name = clock.monotonic(), ""
        try:
            source = await node.service.log_source(lines, follow=True)
            name = source.name
            yield LogPart(name)
            async with node.host.stream(source.command) as stream:
                while more := await stream.read_lines():
                    last_note = ""
                    if found := pick_lines(more, source.about):
                        yield LogPart(name, found)
                error: RolldeckError = _explain_end(node.name, source, stream)
        except RolldeckError as caught:
            error = caught
        failures = 0 if clock.monotonic() - began_s >= STEADY_S else failures
        note = error.beside(node.name)
        if note != last_note:  # not again and again, while a node is down
            last_note = note
            yield LogPart(name, note=note)
        await clock.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
        failures, lines = failures + 1, min(lines, LINES_AGAIN)


def _explain_end(node: str, source: LogSource, stream: OutputStream) -> BackendError:
    """Return why a log is not read any more."""
    if stream.problem:
        return UnknownOutcome(node, f"{source.name}: {stream.problem}")
    if not stream.exit_status:
        return Refused(
            node, f"{source.name}: it has ended, as the log of a container does with the container"
        )
    reason = f"{source.name}: exit status {stream.exit_status}: {stream.last_line or '(no output)'}"
    if not _DENIED.search(stream.last_line):
        return Refused(node, reason)
    hint = "`rolldeck plan APP VERSION --sudoers` prints the rule for sudo, if it is to be read with that"
    return PermissionDenied(node, f"{reason}; {hint}")
