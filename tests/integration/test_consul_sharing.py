"""Two machines on one Consul: the second follows the first one's rollout, controls it and takes it over."""

import asyncio
import base64
import signal
import time
from pathlib import Path

from console.demo.load import Load
from orchestrator.engine.operator_requests import SECOND_ABORT_DELAY_S
from orchestrator.events.events import NodeStarted
from orchestrator.remote.payload import read_publication, unpack
from tests.support.consul_world import consul_world, elsewhere, far_away, killed, lock_runs_out
from tests.support.held_steps import held
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    assert_nothing_failed,
    rolldeck,
    say,
    seconds_of,
    started,
    states,
    tune,
    versions,
)
from tests.support.servers.consul import needs_consul
from tests.unit import journals

pytestmark = needs_consul


async def test_the_second_sees_all_of_it_live_asks_for_something_and_ends_as_it_does(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _), held(stack, "stop") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="stop")
            with elsewhere(stack):
                async with started(stack, "follow", "shop", "--json") as second:
                    asked = await rolldeck(stack, "control", "shop", "pause")
                    assert asked.code == 0, asked.text
                    assert f"process {first.process.pid} on " in asked.text
                    paused = await first.event("paused")
                    assert "@" in paused["who"]
                    assert paused["why"] == "requested from another machine"
                    assert (await rolldeck(stack, "control", "shop", "skip")).code == 0
                    assert "no such question is open" in (await first.event("node_note", node=""))["text"]
                    seen = await second.event("paused")
                    assert first.process.returncode is None, "live: the first still works on it"
                    assert (await rolldeck(stack, "control", "shop", "resume")).code == 0
                    let_go()
                    followed = await second.end()
            run = await first.end()
        assert (run.code, followed.code) == (0, 0), run.text + followed.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert seen["seq"] in {event["seq"] for event in run.events}
        private = ("command_sending", "command_finished", "waiting", "command_started", "lock_taken")
        told = [event for event in run.events if event["event"] not in private]
        known = {event["seq"]: event for event in followed.events}
        assert [known.get(event["seq"]) for event in told] == told
        with elsewhere(stack):
            late = await rolldeck(stack, "control", "shop", "abort")
        assert late.code == 3, late.text
        assert "no rollout of shop is running" in late.text


async def test_what_a_node_was_is_published_before_it_is_touched_and_shows_what_was_cut_off(
    tmp_path: Path,
) -> None:
    """Who is killed in this moment has left all that another machine needs.

    Nothing on the machine itself shows events that were cut off, as whoever was killed has sealed nothing.
    """
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("command_sending", node="web1", step="drain")
            running.signal(signal.SIGKILL)
            await running.end()
        [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/rollout")
        _, records = unpack(base64.b64decode(pair["Value"]))
        [began] = [record.event for record in records if isinstance(record.event, NodeStarted)]
        assert began.node == "web1"
        assert {(original.instance, original.admin) for original in began.originals} == {
            ("lb1", "ready"),
            ("lb2", "ready"),
        }
        head = read_publication(base64.b64decode(pair["Value"])).journal_head
        whole = await rolldeck(stack, "history", "verify", "--head", head)
        assert (whole.code, f"{head}: the head of entry 1 up to event" in whole.out) == (0, True), whole.text
        for table in ("events", "hashes"):
            journals.change(stack.directory / "journal.db", f"DELETE FROM {table} WHERE seq > 3")
        cut = await rolldeck(stack, "history", "verify")
        assert (cut.code, "not sealed: it may lack its last events" in cut.out) == (0, True), cut.text
        cut = await rolldeck(stack, "history", "verify", "--head", head)
        assert (cut.code, f"{head}: no such head" in cut.out) == (1, True), cut.text


async def test_the_next_rollout_can_be_seen_at_once_however_long_the_delay(tmp_path: Path) -> None:
    """Consul keeps from everybody for so long what a session has as it ends."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        tune(stack, "lock", ttl=81, lock_delay=60)
        for version in (NEW, OLD):
            run = await rolldeck(stack, "upgrade", "shop", version, "--limit", "web1", "--yes", "--json")
            assert run.code == 0, run.text
            assert "cannot publish state to Consul" not in run.text
            [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/rollout")
            head, records = unpack(base64.b64decode(pair["Value"]))
            assert (head.version, records[-1].seq) == (version, run.ended["seq"])
            assert "Session" not in pair


async def test_after_a_kill_another_machine_takes_it_over_with_its_originals(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, _):
        tune(stack, "apps.shop.rollout", min_available=1)
        await say(stack, "set server shop/web1 weight 50")
        await say(stack, "set server shop/web2 state maint")
        async with Load(50, stack.frontends, slow_share=0) as load:
            pid = await killed(stack)
            with elsewhere(stack):
                early = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
                assert early.code == 3, early.text
                assert f"process {pid} on " in early.text
                followed = await rolldeck(stack, "follow", "shop")  # until its lock has run out
                resumed = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
                again = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
            report = await load.stop()
        assert followed.code == 1
        assert resumed.code == 0, resumed.text
        assert "taken over from" in resumed.text
        assert "take over with: rolldeck resume shop" in followed.text
        assert_nothing_failed(report)
        assert "nothing to resume" in again.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        for servers in (await states(stack)).values():
            assert (servers["web1"].admin, servers["web1"].weight) == (0, 50)
            assert servers["web2"].admin == MAINT  # a human had it out


async def test_a_holder_that_wakes_up_late_sends_nothing_any_more(tmp_path: Path) -> None:
    """Suspended in a step, for longer than its lock lasts, while another finishes its rollout."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, "start") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="start")
            first.signal(signal.SIGSTOP)
            let_go()
            await lock_runs_out(agent)
            with elsewhere(stack):
                resumed = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
            assert resumed.code == 0, resumed.text
            before = await states(stack)
            woken = time.time()
            first.signal(signal.SIGCONT)
            run = await first.end()
        assert run.code == 1, run.text
        assert "lock" in run.ended["reason"]
        assert [
            event for event in run.events if event["event"] == "command_sending" and seconds_of(event) > woken
        ] == []
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
                asked = await rolldeck(stack, "control", "shop", "abort")
                assert asked.code == 0, asked.text
                assert (
                    "it ends after the running step; to cut that short: rolldeck control shop abort"
                    in asked.err
                )
                await first.event("abort_requested", immediate=False)
                await asyncio.sleep(SECOND_ABORT_DELAY_S)
                assert (await rolldeck(stack, "control", "shop", "abort")).code == 0
            run = await first.end()
    assert run.code == 4, run.text
    assert run.ended["interrupted"] == ["web1"]
    assert [event["immediate"] for event in run.events if event["event"] == "abort_requested"] == [
        False,
        True,
    ]
