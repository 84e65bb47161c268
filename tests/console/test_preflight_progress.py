"""Preflight of many nodes: the console shows how far it is, and the operator can give it up."""

import asyncio

from textual.pilot import Pilot

from console.tui.screens.preflight_progress import PreflightDialog, wait_for_plan
from orchestrator.session.session import Session
from tests.console.frozen_console import CALM, FrozenConsole, session_of
from tests.console.real_console import read


class SlowPlan:
    """Observes 400 nodes; the test says when the next ones are done."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.finish = asyncio.Event()
        self.cancelled = False

    async def make(self) -> str:
        self.session.observed_nodes = (120, 400)
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "the plan"


async def _until(pilot: Pilot[str], words: str) -> None:
    async with asyncio.timeout(20):
        while words not in read(pilot.app.screen):
            await pilot.pause(0.05)


async def test_a_plan_that_takes_long_shows_how_far_it_is() -> None:
    session = session_of(CALM)
    app = FrozenConsole(CALM, session)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main, plan = app.screen, SlowPlan(session)
        worker = app.run_worker(wait_for_plan(app, session, plan.make()))
        await _until(pilot, "checked 120 of 400 nodes")
        session.observed_nodes = (400, 400)
        await _until(pilot, "checked 400 of 400 nodes · computing the batches")
        plan.finish.set()
        assert await worker.wait() == "the plan"
        await pilot.pause()
        assert app.screen is main


async def test_a_plan_can_be_given_up() -> None:
    session = session_of(CALM)
    app = FrozenConsole(CALM, session)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main, plan = app.screen, SlowPlan(session)
        worker = app.run_worker(wait_for_plan(app, session, plan.make()))
        await _until(pilot, "checked 120 of 400 nodes")
        await pilot.press("escape")
        assert await worker.wait() is None
        await pilot.pause()
        assert app.screen is main
        assert plan.cancelled


async def test_a_plan_that_is_made_at_once_shows_nothing() -> None:
    session = session_of(CALM)
    app = FrozenConsole(CALM, session)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shown: list[type[object]] = []
        app.screen_change_signal.subscribe(app, lambda screen: shown.append(type(screen)))
        plan = SlowPlan(session)
        plan.finish.set()
        assert await app.run_worker(wait_for_plan(app, session, plan.make())).wait() == "the plan"
        assert PreflightDialog not in shown
