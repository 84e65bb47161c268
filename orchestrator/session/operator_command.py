"""What an operator runs beside rollouts, a shell or a configured command, and its entry in the journal."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.events.operator_commands import OperatorCommandFinished, OperatorCommandStarted
from orchestrator.session.session import Session

MAX_RECORDED_LINES = 20  # of the output: its end

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
    """

    exit_status: int | None = None
    output: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_RECORDED_LINES))
    error: str = ""


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
            bus.emit(
                OperatorCommandFinished(
                    nodes=nodes,
                    exit_status=outcome.exit_status,
                    output=list(outcome.output),
                    error=outcome.error,
                    duration_s=round(session.clock.monotonic() - began_s, 3),
                )
            )
