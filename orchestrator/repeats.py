"""Waiting comes every second: what only repeats its reason says nothing new."""

from orchestrator.events import AnyEvent, StepStarted, Waiting


class Repeats:
    """Knows a `Waiting` that only repeats its reason."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}

    def has(self, event: AnyEvent) -> bool:
        """Whether this one is left out; every event must be shown to it, in order."""
        if isinstance(event, Waiting):
            key = (event.node, event.step)
            if self._told.get(key) == event.reason:
                return True
            self._told[key] = event.reason
        elif isinstance(event, StepStarted):
            self._told.pop((event.node, event.step), None)
        return False
