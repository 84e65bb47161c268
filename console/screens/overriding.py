"""What holds an operator back and gives way to one who knows why: a freeze, somebody else's lock."""

from typing import Any

from textual.app import App

from console.session import Session
from orchestrator.freeze import judge_freeze
from orchestrator.plan import Severity


async def past_the_lock(app: App[Any], session: Session) -> bool | None:
    """Ask where somebody else works on this application.

    Returns:
        Whether the lock is to be taken away; None: leave it to them.
    """
    from widgets.dialogs.confirm import Confirm

    holder = await session.books.holder()
    if holder is None:
        return False
    answer = await app.push_screen_wait(
        Confirm(
            f"Somebody else works on {session.application.name}",
            [str(holder), "", "A rollout whose lock is taken away ends at once; its node is left for yours."],
            [("no", "Leave it to them", "default"), ("yes", "Take it away", "error")],
        )
    )
    return True if answer == "yes" else None


async def past_the_freeze(app: App[Any], session: Session) -> Severity | None:
    """Ask where nothing is to be rolled out now.

    Returns:
        What a freeze means for the plan: a warning once it is overridden; None: not now.
    """
    from widgets.dialogs.confirm import Confirm

    frozen = judge_freeze(session.application.freezes, session.clock.time(), Severity.WARNING)
    if not frozen:
        return Severity.ERROR  # one that begins while the plan is made
    answer = await app.push_screen_wait(
        Confirm(
            "Nothing is to be rolled out now",
            [each.text for each in frozen] + ["", "Overriding is written down with your name."],
            [("no", "Not now", "default"), ("yes", "Override it", "error")],
        )
    )
    return Severity.WARNING if answer == "yes" else None
