"""Why something is done: one short line, which may or must be given."""

from dataclasses import replace

import pytest

from orchestrator.planning.application import Policy
from tests.console.dialog_values import ALLOWED, cut_off, impact, open_dialog, plan, shown, type_in
from widgets.dialogs.change import ChangeAnswer, ChangeDialog
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.reason import ReasonInput
from widgets.dialogs.upgrade import UpgradeAnswer, UpgradeDialog


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_plan_takes_a_reason_that_nobody_has_to_pass_by(size: tuple[int, int]) -> None:
    async with open_dialog(PlanScreen(plan(), reason=""), size) as (app, pilot):
        assert "why? (optional)" in "\n".join(shown(app))
        assert cut_off(app, size) == []
        await pilot.press("right", "right")  # past the answers
        await type_in(pilot, "INC-7 yc")  # no letter is a key
        await pilot.press("enter", "enter")  # the first one goes to the answer
    assert app.answers == ["INC-7 yc"]
    async with open_dialog(PlanScreen(plan(), reason="disk"), size) as (app, pilot):
        await pilot.press("right", "enter")
    assert app.answers == ["disk"]


async def test_a_plan_demands_a_reason_where_the_policy_does() -> None:
    made = plan()
    demanding = replace(made, policy=Policy(require_reason=True))
    async with open_dialog(PlanScreen(demanding, reason="")) as (app, pilot):
        await pilot.press("right", "enter")
        assert "type why, or cancel" in [notification.message for notification in app._notifications]
        app.screen.query_one(ReasonInput).value = "a\x1b[2J"
        await pilot.press("enter", "enter")
        last = [notification.message for notification in app._notifications][-1]
        assert "one line of at most 200 printable characters" in last
        assert app.answers == []
        await pilot.press("escape")
    assert app.answers == [None]
    for screen in (PlanScreen(replace(made, batches=()), reason=""), PlanScreen(made)):
        async with open_dialog(screen) as (app, _):
            assert "why?" not in "\n".join(shown(app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_an_upgrade_takes_a_reason_that_nobody_has_to_pass_by(size: tuple[int, int]) -> None:
    async with open_dialog(UpgradeDialog("shop", "", Policy()), size) as (app, pilot):
        assert "why? (optional)" in "\n".join(shown(app))
        assert cut_off(app, size) == []
        await type_in(pilot, "1.5.0")
        await pilot.press("shift+tab")
        await pilot.press(*"INC-7", "enter")
    assert app.answers == [UpgradeAnswer("1.5.0", "1", "none", reason="INC-7")]


async def test_an_upgrade_demands_a_reason_where_the_policy_does() -> None:
    async with open_dialog(UpgradeDialog("shop", "", Policy(require_reason=True))) as (app, pilot):
        await type_in(pilot, "1.5.0")
        await pilot.press("enter")
        assert "type why, or cancel" in [notification.message for notification in app._notifications]
        await pilot.press(*"INC-7", "enter")
    assert app.answers == [UpgradeAnswer("1.5.0", "1", "none", reason="INC-7")]


@pytest.mark.parametrize(
    ("requires", "keys", "reason"),
    [
        (False, ["right", "enter"], ""),
        (False, ["shift+tab", *"disk", "enter", "enter"], "disk"),
        (True, ["right", "enter", *"disk", "enter", "enter"], "disk"),
    ],
)
async def test_a_change_takes_a_reason_too(requires: bool, keys: list[str], reason: str) -> None:
    async with open_dialog(ChangeDialog("drain", impact(ALLOWED), requires_reason=requires)) as (app, pilot):
        await pilot.press(*keys)
    assert app.answers == [ChangeAnswer(reason=reason)]


async def test_a_reason_is_still_there_when_a_change_is_shown_again() -> None:
    async with open_dialog(ChangeDialog("weight", impact(ALLOWED), reason="disk")) as (app, pilot):
        await type_in(pilot, "7")
        app.screen.query_one(ReasonInput).value += "\x1b[2J"
        await pilot.press("enter", "enter")  # what is typed there is looked at last
        assert app.answers == []
        app.screen.query_one(ReasonInput).value = "disk 3"
        await pilot.press("enter", "enter")
    assert app.answers == [ChangeAnswer(7, reason="disk 3")]
