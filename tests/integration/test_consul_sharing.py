"""Two machines on one Consul: the second sees the first's rollout live, asks for something, takes it over."""

import asyncio
import base64
import signal
import time
from pathlib import Path

from console.demo.load import Load
from console.requests import DELIBERATE
from orchestrator.events import TurnBegan
from orchestrator.journal.shared import read_publication, unpack
from tests.consuls import needs_consul
from tests.integration.consul_world import TTL, consul_world, elsewhere, far_away, killed
from tests.integration.rollouts import (
    MAINT,
    NEW,
    OLD,
    assert_nothing_failed,
    rolldeck,
    say,
    started,
    states,
    tune,
    until,
    versions,
)
from tests.unit import journals

pytestmark = needs_consul


async def test_the_second_sees_all_of_it_live_and_ends_as_it_does(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("rollout_started")
            with elsewhere(stack):
                async with started(stack, "follow", "shop", "--json") as second:
                    seen = await second.event("step_started", node="web2", step="stop")
                    assert first.process.returncode is None, "live: the first still works on it"
                    followed = await second.end()
            run = await first.end()
        assert (run.code, followed.code) == (0, 0), run.text + followed.text
        assert seen["seq"] in {each["seq"] for each in run.events}
        private = ("sending", "sent", "waiting", "command_began", "lock_taken")
        told = [each for each in run.events if each["event"] not in private]
        known = {each["seq"]: each for each in followed.events}
        assert [known.get(each["seq"]) for each in told] == told


async def test_it_is_asked_to_pause_and_to_go_on_with_the_askers_name(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, _):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1")
            with elsewhere(stack):
                asked = await rolldeck(stack, "ask", "shop", "pause")
                assert asked.code == 0, asked.text
                assert f"process {first.process.pid} on " in asked.text
                paused = await first.event("paused")
                assert "@" in paused["who"]
                assert paused["why"] == "asked from another machine"
                assert (await rolldeck(stack, "ask", "shop", "skip")).code == 0
                assert "no such question is open" in (await first.event("noted", node=""))["text"]
                assert (await rolldeck(stack, "ask", "shop", "resume")).code == 0
            run = await first.end()
        assert run.code == 0, run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        with elsewhere(stack):
            late = await rolldeck(stack, "ask", "shop", "abort")
        assert late.code == 3, late.text
        assert "no rollout of shop runs now" in late.text


async def test_what_a_node_was_is_published_before_it_is_touched(tmp_path: Path) -> None:
    """Who is killed in this moment has left all that another machine needs."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("sending", node="web1", step="drain")
            running.signal(signal.SIGKILL)
            await running.end()
        [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/rollout")
        _, records = unpack(base64.b64decode(pair["Value"]))
        [began] = [each.event for each in records if isinstance(each.event, TurnBegan)]
        assert began.node == "web1"
        assert {(each.instance, each.admin) for each in began.originals} == {
            ("lb1", "ready"),
            ("lb2", "ready"),
        }


async def test_the_published_head_shows_events_that_were_cut_off(tmp_path: Path) -> None:
    """Nothing on the machine itself does: whoever was killed has sealed nothing."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("sending", node="web1", step="drain")
            running.signal(signal.SIGKILL)
            await running.end()
        [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/rollout")
        head = read_publication(base64.b64decode(pair["Value"])).journal_head
        whole = await rolldeck(stack, "history", "verify", "--head", head)
        assert (whole.code, f"{head}: the head of entry 1 up to event" in whole.out) == (0, True), whole.text
        for table in ("events", "hashes"):
            journals.change(stack.directory / "journal.db", f"DELETE FROM {table} WHERE seq > 3")  # noqa: S608
        cut = await rolldeck(stack, "history", "verify")
        assert (cut.code, "not sealed: it may lack its last events" in cut.out) == (0, True), cut.text
        cut = await rolldeck(stack, "history", "verify", "--head", head)
        assert (cut.code, f"{head}: no such head" in cut.out) == (1, True), cut.text


async def test_the_next_rollout_can_be_seen_at_once_however_long_the_delay(tmp_path: Path) -> None:
    """Consul keeps from everybody for so long what a session has as it ends."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        tune(stack, "lock", ttl=81, delay=60)
        for version in (NEW, OLD):
            run = await rolldeck(stack, "upgrade", "shop", version, "--yes", "--json")
            assert run.code == 0, run.text
            assert "Consul does not take it" not in run.text
            [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/rollout")
            head, records = unpack(base64.b64decode(pair["Value"]))
            assert (head.version, records[-1].seq) == (version, run.ended["seq"])
            assert "Session" not in pair


async def test_after_a_kill_another_machine_takes_it_over_with_its_originals(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, _):
        tune(stack, "apps.shop.rollout", min_available=1)
        await say(stack, "set server shop/web1 weight 50")
        await say(stack, "set server shop/web2 state maint")
        async with Load(100, stack.frontends) as load:
            pid = await killed(stack)
            with elsewhere(stack):
                early = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
                assert early.code == 3, early.text
                assert f"process {pid} on " in early.text
                followed = await rolldeck(stack, "follow", "shop")

                async def resumed() -> bool:
                    run = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
                    assert run.code in (0, 3), run.text
                    return run.code == 0 and "taken over from" in run.text

                await until(resumed, timeout=2 * TTL + 40)
                again = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
            report = await load.stop()
        assert followed.code == 1
        assert "to take it over: rolldeck resume shop" in followed.text
        assert_nothing_failed(report)
        assert "nothing to resume" in again.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        for own in (await states(stack)).values():
            assert (own["web1"].admin, own["web1"].weight) == (0, 50)
            assert own["web2"].admin == MAINT  # a human had it out


async def test_a_holder_that_wakes_up_late_sends_nothing_any_more(tmp_path: Path) -> None:
    """Suspended in a step, for longer than its lock lasts, while another finishes its rollout."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        stack.add_release(NEW, start_delay=4.0)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="start")
            first.signal(signal.SIGSTOP)
            with elsewhere(stack):

                async def resumed() -> bool:
                    return (await far_away(stack, "resume", "shop", "--yes", "--trust-published")).code == 0

                await until(resumed, timeout=2 * TTL + 60)
            before = await states(stack)
            woken = time.time()
            first.signal(signal.SIGCONT)
            run = await first.end()
        assert run.code == 1, run.text
        assert "lock" in run.ended["reason"]
        assert [each for each in run.events if each["event"] == "sending" and each["at"] > woken] == []
        await asyncio.sleep(0.5)
        assert await states(stack) == before
        assert await versions(stack) == {"web1": NEW, "web2": NEW}


async def test_who_asks_for_an_abort_is_told_what_a_second_one_does(tmp_path: Path) -> None:
    """And the second one, once it is not just after the first, ends a start that would take a minute."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        stack.add_release(NEW, start_delay=600)
        tune(stack, "apps.shop.rollout", start_timeout=600)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="start")
            with elsewhere(stack):
                asked = await rolldeck(stack, "ask", "shop", "abort")
                assert asked.code == 0, asked.text
                assert (
                    "it ends after the running step; to cut that short: rolldeck ask shop abort" in asked.err
                )
                await first.event("abort_requested", at_once=False)
                await asyncio.sleep(DELIBERATE)
                assert (await rolldeck(stack, "ask", "shop", "abort")).code == 0
            run = await first.end()
    assert run.code == 4, run.text
    assert run.ended["interrupted"] == ["web1"]
    assert [event["at_once"] for event in run.events if event["event"] == "abort_requested"] == [False, True]
