"""The console during a rollout on another machine: it is followed, controlled by keys, and taken over."""

import signal
from pathlib import Path

from console.demo.node import Release
from tests.console.real_console import drive, opened
from tests.support.consul_world import consul_world, elsewhere
from tests.support.held_steps import held
from tests.support.rollouts import NEW, started, versions
from tests.support.servers.consul import needs_consul

pytestmark = needs_consul


async def test_it_is_seen_live_asked_by_keys_and_taken_over(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _), held(stack, "start") as let_go:
        stack.nodes["web2"].add_release(Release(version=NEW, start_delay=5.0))  # it is to be killed in it
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="start")
            with elsewhere(stack):
                opening = opened(stack)
                here = await opening.__aenter__()
            session = here.session
            try:
                async with drive(here, up=1) as at:
                    await at.until(lambda: "; p and a send requests" in at.behind)
                    await at.press("p")
                    assert (await first.event("paused"))["why"] == "requested from another machine"
                    await at.until(lambda: "paused by" in at.behind)
                    await at.press("p")
                    await first.event("resumed")
                    let_go()
                    await first.event("step_started", node="web2", step="start")
                    await at.until(lambda: session.versions.by_node.get("web1") == NEW)
                    first.signal(signal.SIGKILL)
                    await first.end()
                    # One machine with it, in truth: its lock is free as soon as that is seen.
                    await at.press("ctrl+r")
                    await at.sees("Take over", "comes from Consul unauthenticated")
                    await at.press("right", "enter")
                    await at.sees(f"shop → {NEW}", "left by rollout 1", "Start")
                    await at.press("right", "enter")
                    await at.result("healthy")
            finally:
                await opening.__aexit__(None, None, None)
        assert await versions(stack) == {"web1": NEW, "web2": NEW}
