"""Nodes that a rollout leaves half upgraded are named, and so are changes by others during it."""

import asyncio
import signal
from pathlib import Path

from tests.support.rollouts import (
    MAINT,
    OLD,
    rolldeck,
    say,
    started,
    states,
    statuses,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import reload_haproxy, running_version
from tests.support.wait import until


def held(lock: Path) -> bool:
    """Somebody works on the application now: nothing else tells it."""
    return lock.exists() and lock.stat().st_size > 0


async def test_ready_that_is_interrupted_says_where_it_stands(tmp_path: Path) -> None:
    async with world(tmp_path, nodes=3) as stack:
        assert (await rolldeck(stack, "maint", "shop", "web1", "--yes")).code == 0
        await stack.nodes["web1"].appctl("stop")
        async with started(stack, "ready", "shop", "web1", "--yes") as running:
            await until(lambda: asyncio.to_thread(held, tmp_path / "locks" / "shop.lock"))
            await asyncio.sleep(0.5)  # it looks at a service that will not come
            running.signal(signal.SIGINT)
            run = await running.end()
        assert run.code == 4
        assert [line.split()[:4] for line in run.err.splitlines() if line.startswith("web1 ")] == [
            ["web1", "shop", "lb1", "maint"],
            ["web1", "shop", "lb2", "maint"],
        ]
        assert "to put it in rotation: rolldeck ready shop web1\n" in run.err


async def test_somebody_who_puts_a_node_back_while_it_starts_stops_the_rollout(tmp_path: Path) -> None:
    async with world(tmp_path, nodes=3, start_delay=1.5) as stack:
        async with started(stack, "upgrade", "shop", "1.5.0", "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            await say(stack, "set server shop/web1 state ready", "lb1")
            run = await running.end()
        assert run.code == 1
        assert run.ended["failed"] == ["web1"]
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert "somebody changed it" in failed["error"]
        assert {lb: servers["web1"].admin for lb, servers in (await states(stack)).items()} == {
            "lb1": MAINT,
            "lb2": MAINT,
        }
        assert {name: await running_version(stack, name) for name in ("web2", "web3")} == {
            "web2": OLD,
            "web3": OLD,
        }


async def test_nothing_is_taken_out_while_every_server_has_yet_to_prove_itself(tmp_path: Path) -> None:
    async with world(tmp_path, nodes=3) as stack:
        for instance in stack.instances.values():
            # Just after a reload: "UP 1/3" until the first check, which comes much later here.
            text = instance.file.read_text().replace("inter 100ms", "inter 30s")
            assert "inter 30s" in text
            instance.file.write_text(text)
            await reload_haproxy(instance)
        seen = await statuses(stack, "shop")
        unproven = [name for name in stack.nodes if {seen[lb, name] for lb in stack.instances} != {"UP"}]
        run = await upgrade(stack, "1.5.0", "--limit", unproven[-1])
        assert run.code == 3, run.text
        assert "capacity floor violated" in run.err
        assert set((await versions(stack)).values()) == {OLD}
