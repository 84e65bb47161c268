"""Carries out the steps of the table in `orchestrator.events.steps`, and lists what they would send."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from backends.model import Registered, Server
from orchestrator.engine.step_context import StepContext
from orchestrator.events.steps import STEPS, Step, implementation
from orchestrator.node import Node
from orchestrator.planning.plan import PlannedNode
from orchestrator.planning.policy import Policy

Command = tuple[str, str]
"""Where a command would go, a load balancer or a host, and its text."""

Run = Callable[[StepContext], Awaitable[str | None]]
"""Carries out a step; returns what was done, in words, or None where there was nothing to do."""


@dataclass(frozen=True, slots=True)
class DryRunContext:
    """What a step is given to list its commands.

    Attributes:
        node: to be worked on.
        planned: its row of the plan.
        servers: of the node, as they are now.
        version: that it is to have.
        policy: of the rollout.
        registered: how it is registered in service discovery; None where it is not, or that is not known.
    """

    node: Node
    planned: PlannedNode
    servers: Sequence[Server]
    version: str
    policy: Policy
    registered: Registered | None = None


ListCommands = Callable[[DryRunContext], Iterable[Command]]
"""Lists what a step would send; it is pure, and sends nothing."""


async def run_step(step: Step, context: StepContext) -> str | None:
    """Carry out a step. Returns what was done, in words; None where there was nothing to do."""
    return await cast("Run", implementation(STEPS.spec(step).run))(context)


def step_commands(step: Step, context: DryRunContext) -> Iterable[Command]:
    """The commands of a step, in the order in which they would be sent."""
    return cast("ListCommands", implementation(STEPS.spec(step).commands))(context)
