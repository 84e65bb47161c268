"""The event that carries how the sessions of a node ended, from which later drains are forecast."""

from backends.text import counted, format_duration
from orchestrator.events.base import Event

MAX_POINTS = 32


class Drained(Event, frozen=True, kw_only=True, tag="drained"):
    """How the sessions of a node ended while it drained, as long as nothing cut them.

    Attributes:
        node: the node.
        seconds: since the drain began, pauses included; ascending, and at most `MAX_POINTS`.
        left: the sessions at each of these times, on all load balancers.
        arrived: sessions that came meanwhile, of clients that persistence keeps there.
        expected_s: the median of the forecast when the drain began; None when nothing was known.
    """

    node: str
    seconds: list[float]
    left: list[int]
    arrived: int = 0
    expected_s: float | None = None


def describe_drained(event: Drained) -> str:
    """Describe it as `12 sessions ended within 34 s, expected 30 s`."""
    if not event.left or not event.seconds:
        return "nothing was seen"
    after = format_duration(event.seconds[-1])
    came = f", {event.arrived:,} came meanwhile" if event.arrived else ""
    expected = f", expected {format_duration(event.expected_s)}" if event.expected_s is not None else ""
    if event.left[-1]:
        return f"{event.left[-1]:,} of {counted(max(event.left), 'session')} left after {after}{came}"
    return f"{counted(max(event.left), 'session')} ended within {after}{came}{expected}"
