"""Faults on demand for the fakes: they replace the result of an operation."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens instead. Without an error it is only late."""

    error: Exception | None
    executed: bool = False  # it is done all the same, as when only the answer is lost
    seconds: float = 0.0  # that pass first, as when nobody answers


class Faults:
    """Faults that wait for their operation, in order; an operation without one just works."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Fault]] = defaultdict(list)
        self.always: dict[str, Fault] = {}

    def add(
        self,
        operation: str,
        error: Exception | None,
        *,
        executed: bool = False,
        seconds: float = 0.0,
        times: int = 1,
    ) -> None:
        self._waiting[operation] += [Fault(error, executed, seconds)] * times

    async def around(self, operation: str, action: Callable[[], T]) -> T:
        """Do it, or what a fault makes of it. Every operation lets the other tasks run first."""
        waiting = self._waiting[operation]
        fault = waiting.pop(0) if waiting else self.always.get(operation)
        await asyncio.sleep(fault.seconds if fault else 0)
        if fault is None or fault.error is None:
            return action()
        if fault.executed:
            action()
        raise fault.error
