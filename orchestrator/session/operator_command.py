"""What an operator runs beside rollouts, a shell or a configured command, and its entry in the journal."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from backends.command import Command
from backends.errors import BackendError
from backends.protocols import Host
from orchestrator.events.operator_commands import OperatorCommandFinished, OperatorCommandStarted
from orchestrator.session.session import Session

MAX_RECORDED_LINES = 20  # of the output: its end
MANY_LINES = 200  # that arrive together
MANY_LINES_PAUSE_S = 0.1

SHELL = "shell"
"""The title of a shell."""


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """Something that an operator runs; the fields are those of `OperatorCommandStarted`."""

    title: str
    nodes: Sequence[str]
    where: Literal["here", "node"]
    line: str = ""


@dataclass(slots=True)
class Outcome:
    """How it ended, as whoever runs it notes.

    Attributes:
        exit_status: None while it is not known.
        output: its last lines.
        error: why it did not end well.
        duration_s: how long it took.
    """

    exit_status: int | None = None
    output: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_RECORDED_LINES))
    error: str = ""
    duration_s: float = 0.0


@contextmanager
def recorded(session: Session, command: OperatorCommand) -> Iterator[Outcome]:
    """Record a command that runs within, and how it ends; it needs no lock, as it is no part of a rollout.

    Args:
        session: of the application.
        command: what runs.

    Yields:
        The outcome, to be filled.

    Raises:
        JournalError: it cannot be recorded; nothing has run then.
    """
    began_s = session.clock.monotonic()
    nodes, actor = list(command.nodes), session.actor
    plan = {"title": command.title, "nodes": nodes, "where": command.where, "command": command.line}
    with session.work_log.record_command(plan) as bus:
        bus.emit(
            OperatorCommandStarted(
                title=command.title,
                nodes=nodes,
                where=command.where,
                command=command.line,
                operator=actor.name,
                **actor.origin,
            )
        )
        outcome = Outcome()
        try:
            yield outcome
        except BaseException as error:
            outcome.error = outcome.error or str(error) or "it was cut off"
            raise
        finally:
            outcome.duration_s = round(session.clock.monotonic() - began_s, 3)
            bus.emit(
                OperatorCommandFinished(
                    nodes=nodes,
                    exit_status=outcome.exit_status,
                    output=list(outcome.output),
                    error=outcome.error,
                    duration_s=outcome.duration_s,
                )
            )


async def run_command(
    session: Session,
    host: Host,
    command: OperatorCommand,
    timeout_s: float,
    show: Callable[[Sequence[str]], None] | None = None,
) -> Outcome:
    """Run a command to its end, record it, and return how it ended.

    When its time is over, or when the caller is cancelled, it is ended where it runs.

    Args:
        session: of the application.
        host: where its line is run, by a shell.
        command: the command.
        timeout_s: seconds, after which it is ended.
        show: receives its output as it arrives, harmless to print.

    Raises:
        JournalError: it cannot be recorded; nothing has run then.
    """
    with recorded(session, command) as outcome:
        try:
            async with asyncio.timeout(timeout_s), host.stream(Command.shell(command.line)) as stream:
                while lines := await stream.read_lines():
                    outcome.output.extend(lines)
                    if show is not None:
                        show(lines)
                    if len(lines) >= MANY_LINES:
                        await asyncio.sleep(MANY_LINES_PAUSE_S)  # one that writes without end has to wait
                outcome.exit_status = stream.exit_status
                status = f"exit status {stream.exit_status}" if stream.exit_status else ""
                outcome.error = stream.problem or status
        except TimeoutError:
            outcome.error = f"it was ended after {timeout_s:g} s"
        except BackendError as error:
            outcome.error = error.beside(host.name)
    return outcome
