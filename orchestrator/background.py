"""Work that goes on beside everything else, and never ends in silence."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS
from orchestrator.engine.control import RolloutControl
from orchestrator.events.state import RolloutState, is_under_way

PAUSES = (0.5, 1.0, 5.0, 30.0)  # seconds before work begins again that has failed


async def keep_running(name: str, work: Callable[[], Awaitable[None]], report: Callable[[str], None]) -> None:
    """Do it until cancelled, and again whenever it fails: that is a defect, and is told.

    Args:
        name: of the work, for people.
        work: is not expected to end.
        report: is given why it has failed, in words; whatever it raises is not this work's business.
    """
    failed = 0
    while True:
        try:
            await work()
            return
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        try:
            report(f"internal error: {name} failed and is restarted: {shorten(why, MAX_SHOWN_CHARS)}")
        except Exception:  # noqa: S110 - a journal that cannot be written stops who works, not us
            pass
        await asyncio.sleep(PAUSES[min(failed, len(PAUSES) - 1)])
        failed += 1


@dataclass(slots=True)
class Activity:
    """Of one session.

    Attributes:
        control: what people can do to its work; each rollout has one of its own.
        is_rolling: a rollout runs.
        state: of the last rollout.
    """

    control: RolloutControl
    is_rolling: bool = False
    state: RolloutState = field(default_factory=RolloutState)

    def active_nodes(self) -> set[str]:
        """Nodes that a rollout works on now."""
        return {name for name, node in self.state.nodes.items() if is_under_way(node.state)}
