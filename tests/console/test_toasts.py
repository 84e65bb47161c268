"""Notifications cover neither the board nor the question of a rollout, nor the answers of a dialog."""

import pytest
from textual.widgets._toast import Toast

from tests.console.dialog_values import plan
from tests.console.frozen_console import FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway
from widgets.decision_panel import DecisionPanel
from widgets.dialogs.elements import InlineButton
from widgets.dialogs.plan import PlanScreen
from widgets.rollout_board import RolloutBoard


@pytest.fixture
def failed_rollout() -> FrozenConsole:
    story = FrozenRollout(halfway("maint")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.failed("web3", "drain", FAILURE).console()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_must_be_read_is_not_covered(failed_rollout: FrozenConsole, size: tuple[int, int]) -> None:
    app = failed_rollout
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        for number in range(5):
            app.notify(f"something happened {number}: " + "and more of it " * 8, markup=False)
        await pilot.pause(0.3)
        toasts = [toast.region for toast in app.screen.query(Toast)]
        assert toasts
        rack = app.screen.query_one("ToastRack").region
        for important in (RolloutBoard, DecisionPanel):
            assert not rack.overlaps(app.screen.query_one(important).region)
        app.push_screen(PlanScreen(plan()))
        await pilot.pause(0.3)
        rack = app.screen.query_one("ToastRack").region
        for button in app.screen.query(InlineButton):
            assert not rack.overlaps(button.region)
