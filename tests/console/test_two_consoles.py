"""Two consoles on the rollout of a third process: both see it, and each can control it."""

from pathlib import Path

from orchestrator.events.events import DecisionMade, ManualChangeStarted, Paused
from tests.console.real_console import console_stack, drive, opened
from tests.support.rollouts import MAINT, NEW, journalled, say, versions

NODE = 1  # "each node" in the list of confirmations


async def test_a_second_console_sees_it_pauses_it_and_answers(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as first:
        await first.start(NEW, NODE)
        await first.asked("web1", "out of rotation?")
        async with opened(here.stack) as there, drive(there) as second:
            await second.sees("shop 1.4.2 → 1.5.0", "web1", "out of rotation?")
            assert second.possible("upgrade") is None
            await second.press("p")
            await first.sees("paused by")
            await second.sees("paused by")
            await second.press("p")
            await second.until(lambda: not here.control.paused)
            await second.press("space")
            await first.asked("web2", "out of rotation?")
            await first.press("space")
            await first.result("healthy")
            await second.result("healthy")  # it was opened in the middle
        events = [record.event for record in here.records]
        assert [event.via for event in events if isinstance(event, Paused)] == ["console"]
        answers = [event for event in events if isinstance(event, DecisionMade)]
        assert [(answer.subject, answer.choice) for answer in answers] == [
            ("web1", "continue"),
            ("web2", "continue"),
        ]
        assert set((await versions(here.stack)).values()) == {NEW}


async def test_a_change_by_hand_is_made_by_the_process_of_the_rollout(tmp_path: Path) -> None:
    async with console_stack(tmp_path, nodes=3, min_available=1) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("o", "end", "m")
        await at.sees("Maintenance for web3?", "The rollout has yet to upgrade web3")
        await say(here.stack, "set server shop/web3 weight 9")
        await at.press("right", "enter")
        await at.sees("Changed meanwhile", "weight 9")
        await at.press("right", "enter")
        await at.until(lambda: "read back: web3 on lb1: maint" in at.said)
        assert await at.admins("web3") == {MAINT}
        [change] = [r.event for r in here.records if isinstance(r.event, ManualChangeStarted)]
        assert (change.nodes, change.via) == (["web3"], "console")
        assert any(event["event"] == "manual_change_finished" for event in journalled(here.stack))
        await at.press("a")
        await at.sees("Abort the rollout?")
        await at.press("right", "enter")
        await at.result("aborted")
