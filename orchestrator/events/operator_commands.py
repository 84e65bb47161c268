"""Events of what operators run on nodes beside rollouts: shells, and commands of the configuration."""

from typing import Literal

from orchestrator.events.base import ByActor, Event


class OperatorCommandStarted(ByActor, frozen=True, kw_only=True, tag="operator_command_started"):
    """An operator is about to open a shell, or to run a command that the configuration names."""

    title: str  # of the command in the configuration, or "shell"
    nodes: list[str]  # that it is about
    where: Literal["here", "node"]  # "here": on the machine of the console
    command: str  # the line that runs; empty for a login shell
    operator: str


class OperatorCommandFinished(Event, frozen=True, kw_only=True, tag="operator_command_finished"):
    """What an operator ran has ended."""

    nodes: list[str]
    exit_status: int | None  # None: it was never started, was cut off, or is not known
    output: list[str]  # its last lines; none of a shell, whose input may be secret
    error: str  # why it did not end well; empty when it did. The exit status of a shell is no error
    duration_s: float
