"""Changes between a plan or impact that was shown and the lock: they are shown, and confirmed again."""

from pathlib import Path

from tests.console.real_console import console_stack, drive
from tests.support.rollouts import NEW, OLD, State, say, states, versions


async def test_a_plan_that_is_another_one_under_the_lock_is_shown_again(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("u")
        await at.sees("Upgrade shop", "Version")
        await at.type(NEW)
        await at.press("enter")
        await at.sees(f"shop → {NEW}", "Start")
        await say(here.stack, "set server shop/web2 weight 9")
        await at.press("right", "enter")
        await at.sees(
            "Changed meanwhile", "web2: shop/web2 on lb1: ready, weight 1 → ready, weight 9", "Start"
        )
        assert here.changes == []
        await at.press("right", "enter")
        await at.result("healthy")
        assert await versions(here.stack) == dict.fromkeys(here.stack.nodes, NEW)
        assert {servers["web2"] for servers in (await states(here.stack)).values()} == {State(0, 9)}


async def test_who_does_not_agree_to_it_touches_nothing(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("u")
        await at.sees("Upgrade shop", "Version")
        await at.type(NEW)
        await at.press("enter")
        await at.sees(f"shop → {NEW}", "Start")
        await say(here.stack, "set server shop/web2 weight 9")
        await at.press("right", "enter")
        await at.sees("Changed meanwhile")
        await at.press("escape")
        await at.until(lambda: "has changed since the plan was made" in at.said)
        assert here.changes == []
        assert not here.is_rolling
        assert await versions(here.stack) == dict.fromkeys(here.stack.nodes, OLD)


async def test_an_impact_that_is_another_one_is_shown_again(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("w")
        await at.sees("New weight")
        await at.type("7")
        await say(here.stack, "set server shop/web1 weight 9")
        await at.press("enter", "enter")
        await at.sees("Changed meanwhile", "weight 9", "New weight")
        await at.type("8")
        await at.press("enter", "enter")
        await at.until(lambda: "read back" in at.said)
        assert {servers["web1"] for servers in (await states(here.stack)).values()} == {State(0, 8)}
