"""The sign of life while a plan is made: how many nodes have been checked, and a way to give up."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from textual import on
from textual.app import App

from backends.text import counted
from orchestrator.session.session import Session
from widgets.dialogs.base import Dialog
from widgets.dialogs.elements import Entries, Entry, InlineButton, entry

T = TypeVar("T")

SHOWN_AFTER_S = 0.4  # a plan that is made sooner needs no sign of life
REFRESH_INTERVAL_S = 0.2


class PreflightDialog(Dialog[None]):
    """Shows how far the preflight checks are. Closing it gives them up; nothing was changed by then."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.title = "Preflight checks"
        self._session = session

    def entries(self) -> Sequence[Entry]:
        done, total = self._session.observed_nodes
        words = f"checked {done} of {counted(total, 'node')}" if total else "reading the load balancers"
        words += " · computing the batches" if total and done == total else ""
        return [entry(words), entry("Nothing is changed; the plan is shown next.")]

    def buttons(self) -> Iterable[InlineButton]:
        yield InlineButton("no", "Cancel")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(REFRESH_INTERVAL_S, self._refresh_entries)

    def _refresh_entries(self) -> None:
        self.query_one("#text Entries", Entries).show(self.entries())

    @on(InlineButton.Pressed)
    def _pressed(self) -> None:
        self.dismiss(None)


async def wait_for_plan(app: App[Any], session: Session, planning: Coroutine[Any, Any, T]) -> T | None:
    """Wait for a plan, with a dialog over everything once that takes long; None if the operator gives it up.

    Args:
        app: shows the dialog.
        session: makes the plan.
        planning: makes it; what it raises is raised here.
    """
    plan = asyncio.ensure_future(planning)
    dialog = PreflightDialog(session)
    try:
        await asyncio.wait([plan], timeout=SHOWN_AFTER_S)
        if not plan.done():
            closed = asyncio.ensure_future(app.push_screen_wait(dialog))
            try:
                await asyncio.wait([plan, closed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                closed.cancel()
        return await plan if plan.done() else None
    finally:
        plan.cancel()
        if dialog.is_attached:
            dialog.dismiss(None)
