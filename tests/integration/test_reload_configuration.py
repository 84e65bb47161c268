"""HAProxy is reloaded with another configuration in the middle of a rollout."""

import re
from pathlib import Path

from tests.support.rollouts import NEW, started, tune, world
from tests.support.stacks import reload_haproxy


async def test_a_reload_with_another_configuration_is_somebodys_decision(tmp_path: Path) -> None:
    """A server that it disables stays out, and a backend that it adds counts."""
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        tune(stack, "apps.shop.rollout", min_available=1)
        lb1 = stack.instances["lb1"]
        text = re.sub(r"(server web3 \S+)", r"\1 disabled", lb1.file.read_text())
        other = f"\nbackend api\n    server x 127.0.0.1:{stack.nodes['web2'].port}\n"
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="install")
            lb1.file.write_text(text + other)
            await reload_haproxy(lb1)
            run = await running.end()
        assert (run.ended["upgraded"], run.ended["held"]) == (["web1"], ["web2"])
        [failed] = [event["error"] for event in run.events if event["event"] == "node_failed"]
        assert failed.startswith("backend api has the node web2 (as x) too (on lb1), which is not drained")
        assert "set server shop/web3 state ready" not in [line for _, line in run.sent]
        [out] = run.ended["out_of_rotation"]
        assert (out["node"], out["intentional"], out["commands"]) == ("web3", True, [])
