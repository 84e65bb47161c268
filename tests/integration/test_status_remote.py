"""`rolldeck status` about a rollout on another machine, which is published in a real Consul."""

import json
from functools import partial
from pathlib import Path

from console.demo.stack import Stack
from tests.support.consul_world import consul_world, elsewhere
from tests.support.rollouts import NEW, rolldeck, started, tune
from tests.support.servers.consul import needs_consul
from tests.support.wait import until

pytestmark = needs_consul


async def _step_is_published(stack: Stack) -> bool:
    """Whether Consul has the step by now: an event is published up to a fifth of a second later."""
    run = await rolldeck(stack, "status", "--json")
    lines = [json.loads(line) for line in run.out.splitlines()]
    return any(node["step"] == "start" for line in lines for node in line.get("nodes", ()))


async def test_what_another_machine_rolls_out_and_leaves_is_told(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        stack.add_release(NEW, start_delay=40.0)
        tune(stack, "apps.shop.rollout", start_timeout=90)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            with elsewhere(stack):
                await until(partial(_step_is_published, stack))
                text = await rolldeck(stack, "status")
                as_json = await rolldeck(stack, "status", "--json")
            running.process.kill()
            await running.end()
        assert f"upgrade to {NEW} runs: " in text.out
        assert f"process {running.process.pid} on " in text.out
        assert "  at web1: " in text.out
        assert "to follow it: rolldeck follow shop" in text.out
        assert "kept out by somebody else" not in text.out
        assert "rolldeck resume" not in text.text
        lines = [json.loads(line) for line in as_json.out.splitlines()]
        [rollout] = [line for line in lines if line["kind"] == "rollout"]
        assert (rollout["standing"], rollout["source"], rollout["entry"]) == ("running", "consul", 0)
        [kept] = [line for line in lines if line["kind"] == "kept_out"]
        assert (kept["server"], kept["by"]) == ("web1", "rollout")
