"""The table of steps: their order, the state of a node in each of them, and the functions that run them.

To add a step, add a row to `STEPS` and a module to `orchestrator.engine.steps`; the board gets wider by it.
"""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

Step = str
"""The name of a row of `STEPS`, as events, the journal and the board have it."""

Implementation = Callable[..., Any] | str
"""A function, or its path as "package.module:function", which is imported once it is needed."""

_MODULES = "orchestrator.engine.steps"


@dataclass(frozen=True, slots=True)
class StepSpec:
    """The row of one step.

    Attributes:
        name: in events, in the journal and on the board.
        state: of a node while the step runs.
        verb: for a sentence about the node: "web1 drains".
        run: carries the step out, given an `orchestrator.engine.step_context.StepContext`.
        commands: lists the commands that the step would send, as `(target, command)`, given an
            `orchestrator.engine.step_context.DryRunContext`.
        waits: whether its time is spent waiting for clients, so that it does not count as work.
        logs_service: whether the service's own output says why it fails.
    """

    name: Step
    state: str
    verb: str
    run: Implementation
    commands: Implementation
    waits: bool = False
    logs_service: bool = False


class StepTable(Sequence[Step]):
    """The names of the steps in their order, with the row of each of them.

    It is read anew wherever steps are needed, so that a row which is added between two rollouts takes part in
    the next one.
    """

    def __init__(self, specs: Iterable[StepSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}

    def add(self, spec: StepSpec, *, before: Step) -> None:
        """Add a row before another one.

        Raises:
            ValueError: a row has that name already, or none has the name in `before`.
        """
        if spec.name in self._specs:
            raise ValueError(f"there is a step {spec.name!r} already")
        index = self.index(before)
        rows = list(self._specs.values())
        self._specs = {row.name: row for row in (*rows[:index], spec, *rows[index:])}

    def remove(self, name: Step) -> None:
        """Remove a row. Raises KeyError when none has that name."""
        self._specs = {row.name: row for row in self._specs.values() if row is not self._specs[name]}

    def spec(self, name: Step) -> StepSpec:
        """Return the row of a step. Raises KeyError when none has that name."""
        return self._specs[name]

    def after(self, name: Step) -> tuple[Step, ...]:
        """Return the steps that follow this one."""
        return tuple(self)[self.index(name) + 1 :]

    @property
    def states(self) -> frozenset[str]:
        """The states of nodes in which a step runs."""
        return frozenset(spec.state for spec in self._specs.values())

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __len__(self) -> int:
        return len(self._specs)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        return tuple(self._specs)[index]


def implementation(found: Implementation) -> Callable[..., Any]:
    """Return the function itself; its module is imported when it is not yet."""
    if not isinstance(found, str):
        return found
    module, _, name = found.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def check_step(step: Step | None) -> None:
    """Raise ValueError unless a step has this name; decoders report it like a wrong type."""
    if step is not None and step not in STEPS:
        raise ValueError(f"found the step {step!r}, expected one of {', '.join(STEPS)}")


STEPS = StepTable(
    (
        StepSpec(
            "drain",
            "draining",
            "drains",
            run=f"{_MODULES}.drain:drain",
            commands=f"{_MODULES}.drain:drain_commands",
            waits=True,
        ),
        StepSpec(
            "stop",
            "stopping",
            "stops",
            run=f"{_MODULES}.stop:stop",
            commands=f"{_MODULES}.stop:stop_commands",
            logs_service=True,
        ),
        StepSpec(
            "install",
            "installing",
            "installs",
            run=f"{_MODULES}.install:install",
            commands=f"{_MODULES}.install:install_commands",
        ),
        StepSpec(
            "start",
            "starting",
            "starts",
            run=f"{_MODULES}.start:start",
            commands=f"{_MODULES}.start:start_commands",
            logs_service=True,
        ),
        StepSpec(
            "verify",
            "verifying",
            "verifies",
            run=f"{_MODULES}.verify:verify",
            commands=f"{_MODULES}.verify:verify_commands",
            logs_service=True,
        ),
    )
)
