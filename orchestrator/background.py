"""Background tasks of a session, which are restarted and reported when they fail, and its activity."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS
from orchestrator.engine.control import RolloutControl
from orchestrator.events.state import RolloutState, is_under_way

PAUSES_S = (0.5, 1.0, 5.0, 30.0)  # seconds before a task is restarted after it has failed


async def keep_running(name: str, work: Callable[[], Awaitable[None]], report: Callable[[str], None]) -> None:
    """Run a task until it is cancelled, and again whenever it fails: a failure is a defect, and is reported.

    Args:
        name: of the task, for operators.
        work: the task, which is not expected to end.
        report: is called with the reason of a failure, in words; what it raises is ignored.
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
        except Exception:  # noqa: S110 - an unwritable journal stops the rollout, not this task
            pass
        await asyncio.sleep(PAUSES_S[min(failed, len(PAUSES_S) - 1)])
        failed += 1


@dataclass(slots=True)
class Activity:
    """The activity of one session.

    Attributes:
        control: of its current work; each rollout has one of its own.
        is_rolling: whether a rollout runs.
        state: of the last rollout.
    """

    control: RolloutControl
    is_rolling: bool = False
    state: RolloutState = field(default_factory=RolloutState)

    def active_nodes(self) -> set[str]:
        """Return the nodes that a rollout works on now."""
        return {name for name, node in self.state.nodes.items() if is_under_way(node.state)}
