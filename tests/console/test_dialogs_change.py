"""Manual changes: the impact first, a refusal below the floor, an override by the exact name."""

from dataclasses import replace

import pytest

from orchestrator.engine.manual_change import Action
from orchestrator.planning.capacity import Capacity
from tests.console.dialog_values import ALLOWED, BROKEN, HOSTILE, cut_off, impact, open_dialog, shown, type_in
from widgets.dialogs.change import ChangeAnswer, ChangeDialog


@pytest.mark.parametrize("action", ["drain", "maint", "ready"])
async def test_the_safe_answer_has_the_focus(action: Action) -> None:
    async with open_dialog(ChangeDialog(action, impact(ALLOWED))) as (app, pilot):
        assert app.focused_text() == "[▸Cancel◂]"
        assert cut_off(app) == []
        await pilot.press("enter")
    assert app.answers == [None]


async def test_escape_is_no() -> None:
    async with open_dialog(ChangeDialog("drain", impact(ALLOWED))) as (app, pilot):
        await pilot.press("right", "escape")
    assert app.answers == [None]


async def test_the_impact_is_shown_before_the_yes() -> None:
    async with open_dialog(ChangeDialog("drain", impact(ALLOWED))) as (app, pilot):
        text = "\n".join(shown(app))
        assert "Drain web4?" in text
        assert "✓ shop on lb1  in rotation 4 → 3, floor 2" in text
        assert "26 sessions now" in text
        await pilot.press("right", "enter")
    assert app.answers == [ChangeAnswer()]


async def test_below_the_floor_it_refuses_and_says_what_would_make_it_possible() -> None:
    async with open_dialog(ChangeDialog("maint", impact(ALLOWED, BROKEN))) as (app, pilot):
        text = " ".join("\n".join(shown(app)).replace("│", " ").split())
        assert "✗ shop on lb2 in rotation 2 → 1, floor 2" in text
        assert "Refused: the capacity floor would be violated." in text
        assert "1 more server in rotation in shop on lb2" in text
        assert cut_off(app) == []
        await pilot.press("right")  # the yes cannot be reached: this is the input
        assert app.focused is not None
        assert app.focused.id == "override"


async def test_who_goes_along_and_who_takes_over_is_shown() -> None:
    along = Capacity("lb1", "other", 1, 0, 1, carried=(("other/o1", "shop/web4"),))
    over = Capacity("lb1", "shop", 1, 1, 1, takes_over=("web5",))
    seen = replace(impact(over, along), carried=("other/o1 on lb1, which follows shop/web4",))
    async with open_dialog(ChangeDialog("drain", seen)) as (app, _):
        text = " ".join("\n".join(shown(app)).replace("│", " ").split())
        assert "Also affects other/o1 on lb1, which follows shop/web4." in text
        assert "✗ other on lb1 in rotation 1 → 0, floor 1; other/o1 follows shop/web4" in text
        assert "✓ shop on lb1 in rotation 1 → 1, floor 1; web5 (backup) takes over" in text
        assert cut_off(app) == []


@pytest.mark.parametrize("typed", ["web", "web44", "WEB4", "web4 web4", "web4 web5", ""])
async def test_another_name_does_not_override(typed: str) -> None:
    async with open_dialog(ChangeDialog("drain", impact(BROKEN))) as (app, pilot):
        await pilot.press("tab")
        await type_in(pilot, typed)
        await pilot.press("enter", "tab", "enter")
        await pilot.pause()
        assert ChangeAnswer(0, frozenset({"web4"})) not in app.answers
    assert app.answers in ([], [None])


async def test_the_exact_name_overrides_with_a_second_enter() -> None:
    async with open_dialog(ChangeDialog("drain", impact(BROKEN))) as (app, pilot):
        await pilot.press("tab")
        await type_in(pilot, "web4")
        await pilot.press("enter")
        assert app.answers == []
        assert app.focused_text() == "[▸Drain◂]"
        await pilot.press("enter")
    assert app.answers == [ChangeAnswer(0, frozenset({"web4"}))]


async def test_several_nodes_need_all_names_in_any_order() -> None:
    async with open_dialog(ChangeDialog("drain", impact(BROKEN, nodes=("web3", "web4")))) as (app, pilot):
        assert cut_off(app) == []
        await pilot.press("tab")
        await type_in(pilot, "web4")
        await pilot.press("enter")
        assert app.focused is not None
        assert app.focused.id == "override"
        await type_in(pilot, " web3")
        await pilot.press("enter", "enter")
    assert app.answers == [ChangeAnswer(0, frozenset({"web3", "web4"}))]


@pytest.mark.parametrize("typed", ["257", "-1", "1.5", "x", "9999"])
async def test_a_weight_that_is_none_is_explained(typed: str) -> None:
    async with open_dialog(ChangeDialog("weight", impact(ALLOWED))) as (app, pilot):
        await type_in(pilot, typed)
        assert any("expected a whole number from 0 to 256" in line for line in shown(app))
        await pilot.press("enter", "right", "right", "enter")
        await pilot.pause()
    assert app.answers in ([], [None])


@pytest.mark.parametrize("typed", ["0", "256"])
async def test_a_weight(typed: str) -> None:
    async with open_dialog(ChangeDialog("weight", impact(ALLOWED))) as (app, pilot):
        await type_in(pilot, typed)
        await pilot.press("enter", "enter")
    assert app.answers == [ChangeAnswer(int(typed))]


async def test_only_weight_0_breaks_the_floor() -> None:
    async with open_dialog(ChangeDialog("weight", impact(BROKEN))) as (app, pilot):
        assert cut_off(app) == []
        await type_in(pilot, "0")
        await pilot.press("enter")
        assert app.focused is not None
        assert app.focused.id == "override"
        await pilot.press("shift+tab")
        await type_in(pilot, "5")
        await pilot.press("home", "delete", "enter")
        assert app.focused_text() == "[▸Set weight◂]"
        await pilot.press("enter")
    assert app.answers == [ChangeAnswer(5)]


async def test_a_weight_that_is_not_0_overrides_nothing() -> None:
    async with open_dialog(ChangeDialog("weight", impact(BROKEN))) as (app, pilot):
        await type_in(pilot, "0")
        await pilot.press("enter")
        await type_in(pilot, "web4")
        await pilot.press("shift+tab", "home")
        await type_in(pilot, "7")
        await pilot.press("enter", "enter")
    assert app.answers == [ChangeAnswer(70)]


async def test_hostile_and_many_names_leave_the_answers_in_sight() -> None:
    nodes = (HOSTILE, *(f"web{number}" for number in range(40)))
    async with open_dialog(ChangeDialog("drain", impact(BROKEN, nodes=nodes))) as (app, pilot):
        assert cut_off(app) == []
        await pilot.press("pagedown")
        text = "\n".join(shown(app))
        assert "\x1b" not in text
        assert "\u202e" not in text
        await pilot.press("enter")
    assert app.answers == [None]


async def test_a_smaller_terminal_costs_text_never_the_answers() -> None:
    async with open_dialog(ChangeDialog("drain", impact(BROKEN, nodes=("web3", "web4")))) as (app, pilot):
        await pilot.resize_terminal(80, 14)
        await pilot.pause()
        assert cut_off(app, (80, 14)) == []
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert "shop/web4 on lb2" in "\n".join(shown(app))


@pytest.mark.parametrize(
    ("action", "said"), [("maint", "Out in Consul too."), ("ready", "Back in Consul too.")]
)
async def test_a_registry_that_follows_is_named(action: Action, said: str) -> None:
    async with open_dialog(ChangeDialog(action, replace(impact(), registries=("Consul",)))) as (app, _):
        assert said in "\n".join(shown(app))
