"""The dialogs of a plan and of a result: they are read, scrolled and copied."""

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.planning.drain_forecast import DrainForecast, Lifetimes
from orchestrator.planning.drain_outlook import DrainBasis, DrainOutlook
from orchestrator.planning.findings import Finding, Severity
from tests.console.dialog_values import (
    HOSTILE,
    DialogApp,
    cut_off,
    ended,
    open_dialog,
    out_of_rotation,
    plan,
    shown,
)
from widgets.dialogs.elements import Entries
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.result import ResultScreen

ERROR = Finding(Severity.ERROR, "web2", "is in no backend")
WARNING = Finding(Severity.WARNING, "web1", "has a slow start")
INFO = Finding(Severity.INFO, "lb1", "has no state file")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_plan_says_who_and_what_stays(size: tuple[int, int]) -> None:
    async with open_dialog(PlanScreen(plan()), size) as (app, _):
        text = "\n".join(shown(app))
        assert "shop → 1.5.0 · 4 of 4 nodes in 2 batches" in text
        assert "1/2  web1, web2" in text
        assert "✓ 4 → 2, floor 2  ██░░  shop on lb1, lb2" in text
        assert "→ web3  1.4.2  1.4.2 → 1.5.0" in text
        assert cut_off(app, size) == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_plan_says_how_long_each_drain_takes(size: tuple[int, int]) -> None:
    drain = DrainOutlook(7, 40, 300, DrainForecast(9, 12, 20, 8, 0.01))
    made = plan(count=1)
    nodes = tuple(replace(node, drain=drain) for node in made.nodes)
    basis = DrainBasis(Lifetimes.estimate([1, 2]))
    async with open_dialog(PlanScreen(replace(made, nodes=nodes, drain_basis=basis)), size) as (app, _):
        text = "\n".join(shown(app))
        assert "drain: usually 12 s (9\u201320), 7 sessions now, oldest 40 s" in text
        assert "· drains are forecast from session ages" in text
        assert cut_off(app, size) == []


async def test_back_has_the_focus() -> None:
    for keys in (["enter"], ["escape"], ["right", "escape"]):
        async with open_dialog(PlanScreen(plan(WARNING))) as (app, pilot):
            assert app.focused_text() == "[▸Back◂]"
            await pilot.press(*keys)
        assert app.answers == [None]


async def test_start_is_one_key_away_and_confirmed_by_another() -> None:
    async with open_dialog(PlanScreen(plan(WARNING))) as (app, pilot):
        await pilot.press("right", "enter")
    assert app.answers == [""]


async def test_errors_come_first_and_leave_no_way_to_start() -> None:
    async with open_dialog(PlanScreen(plan(INFO, WARNING, ERROR))) as (app, pilot):
        rows = shown(app)
        marks = [row.strip()[0] for row in rows[3:6]]
        assert marks == ["✗", "!", "·"]
        assert "cannot start: 1 error" in "\n".join(rows)
        await pilot.press("right", "enter")
    assert app.answers == [None]


async def test_a_cause_that_hits_all_nodes_is_one_error() -> None:
    errors = [Finding(Severity.ERROR, f"web{number:03}", "is in no backend") for number in range(1, 401)]
    async with open_dialog(PlanScreen(plan(*errors, count=12))) as (app, _):
        text = "\n".join(shown(app))
        assert "✗ web[001-400]: is in no backend" in text
        assert "cannot start: 1 error" in text
        assert "1-6/6  web[1-12], 2 at a time" in text
        assert "→ web[1-12]  1.4.2  1.4.2 → 1.5.0" in text


async def test_with_nothing_to_do_there_is_nothing_to_start() -> None:
    empty = dataclasses.replace(plan(), batches=(), capacities=())
    async with open_dialog(PlanScreen(empty)) as (app, pilot):
        assert "nothing to do" in "\n".join(shown(app))
        await pilot.press("right", "enter")
    assert app.answers == [None]


async def test_every_command_on_request_and_none_is_cut() -> None:
    async with open_dialog(PlanScreen(plan())) as (app, pilot):
        lines = app.screen.query_one(Entries)
        assert "20 commands" in lines.render().plain
        await pilot.press("c")
        text = lines.render().plain
        assert text.count("sudo monit stop shop") == 4
        assert text.count("--option") == 48
        assert "curl -fsSO https://x/web1" in text
        await pilot.press("end")
        assert "set server shop/web4 state ready" in "\n".join(shown(app))
        await pilot.press("home", "c")
        assert "sudo monit" not in lines.render().plain


async def test_the_commands_are_copied() -> None:
    async with open_dialog(PlanScreen(plan(count=2))) as (app, pilot):
        await pilot.press("y")
        assert "lb1: set server shop/web1 state drain\n" in app.clipboard
        assert app.clipboard.count("\n") == 10


async def test_hostile_names_in_a_plan() -> None:
    hostile = Finding(Severity.WARNING, HOSTILE, HOSTILE * 100)
    async with open_dialog(PlanScreen(plan(hostile, name=HOSTILE))) as (app, pilot):
        await pilot.press("c", "pagedown", "y", "end")
        for text in ("\n".join(shown(app)), app.clipboard):
            assert "\x1b" not in text
            assert "\u202e" not in text
        assert cut_off(app) == []
        await pilot.press("escape")
    assert app.answers == [None]


async def test_a_result_names_what_is_out_and_the_way_back() -> None:
    async with open_dialog(ResultScreen(ended(out_of_rotation()))) as (app, pilot):
        text = "\n".join(shown(app))
        for words in (
            "✗ degraded · web3 failed at start · 2:05",
            "Out of rotation: web3",
            "shop/web3 on lb2: maint",
            "rolldeck ready shop web3",
            "rolldeck upgrade shop 1.4.2 --limit web3",
            "on lb1: set server shop/web3 state ready",
            "[▸Close◂]",
        ):
            assert words in text
        await pilot.press("y")
        assert app.clipboard.splitlines()[0] == "✗ degraded · web3 failed at start · 2:05"
        assert "rolldeck ready shop web3" in app.clipboard
        await pilot.press("Y")  # the commands only
        assert app.clipboard.splitlines()[0] == "rolldeck ready shop web3"
        assert len(app.clipboard.splitlines()) == 4
        await pilot.press("enter")
    assert app.answers == [None]


async def test_a_result_says_what_was_rolled_back_and_where_that_is_now() -> None:
    end = ended(failed=["web3"], rolled_back=["web3"], versions={"web3": "1.4.2"})
    async with open_dialog(ResultScreen(end)) as (app, _):
        text = "\n".join(shown(app))
        assert "✗ failed and rolled back" in text
        assert "web3 (1.4.2, in rotation)" in text
        assert "everything is in rotation" in text


async def test_a_version_that_failed_before_is_named_before_it_starts() -> None:
    made = plan()
    node = replace(made.nodes[0], failed_in=7)
    assert node.steps
    made = replace(made, nodes=(node, *made.nodes[1:]))
    async with open_dialog(PlanScreen(made)) as (app, _):
        text = "\n".join(shown(app))
        assert "that failed here in rollout 7" in text
        assert f"! {made.version} has failed on {node.name}" in text


async def test_a_healthy_result() -> None:
    async with open_dialog(ResultScreen(ended(pending=[]))) as (app, pilot):
        text = "\n".join(shown(app))
        assert "✓ healthy · 2:05" in text
        assert "everything is in rotation" in text
        await pilot.press("Y")  # there are no commands
        assert app.clipboard == ""
        await pilot.press("y")
        assert app.clipboard.splitlines()[0] == "✓ healthy · 2:05"
        await pilot.press("escape")
    assert app.answers == [None]


async def test_what_could_not_be_read_is_never_called_in_rotation() -> None:
    async with open_dialog(ResultScreen(ended(unreachable_balancers=["lb2: no answer"]))) as (app, _):
        text = "\n".join(shown(app))
        assert "lb2: no answer" in text
        assert "everything is in rotation" not in text


async def test_a_hostile_result() -> None:
    result = ended(out_of_rotation(HOSTILE), reason=HOSTILE, unreachable_balancers=[HOSTILE * 50])
    async with open_dialog(ResultScreen(result)) as (app, pilot):
        await pilot.press("y", "down", "j", "up", "pagedown", "pageup")
        for text in ("\n".join(shown(app)), app.clipboard):
            assert "\x1b" not in text
        assert cut_off(app) == []


def as_clear_as_the_rest(app: DialogApp[Any]) -> bool:
    """Whether everything with a mark of what is wrong or right has the color of the answer in focus."""
    pieces = [piece for strip in app.screen._compositor.render_strips() for piece in strip if piece.style]
    marked = {piece.style and piece.style.color for piece in pieces if piece.text[:1] in "✗!✓‖"}
    return marked == {piece.style and piece.style.color for piece in pieces if "[▸" in piece.text}


async def test_without_color_what_is_broken_is_as_clear_as_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = [Finding(severity, "web1", severity.value) for severity in Severity]
    async with open_dialog(PlanScreen(plan(*found))) as (app, _):
        assert as_clear_as_the_rest(app)
    async with open_dialog(ResultScreen(ended(out_of_rotation(), unreachable_balancers=["lb2"]))) as (
        other,
        _,
    ):
        assert as_clear_as_the_rest(other)
