"""Waits that an operator cuts short from another process, on a real HAProxy with a download that goes on."""

from pathlib import Path

import pytest

from console.demo.node import Release
from tests.integration.test_drains import downloads
from tests.support.rollouts import NEW, rolldeck, started, tune, world


@pytest.mark.long
async def test_enough_and_fail_now(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        patient = {"drain_timeout": 600, "maint_grace_period": 0.5, "verify_timeout": 600, "min_available": 1}
        tune(stack, "apps.shop.rollout", **patient, on_remaining_sessions="shutdown")
        stack.nodes["web1"].add_release(Release(version=NEW, healthy=False, start_delay=0.1))
        async with downloads(stack, 4), started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("waiting", node="web1", step="drain")
            refused = await rolldeck(stack, "control", "shop", "fail-now", "--node", "web1")
            assert refused.code != 0
            assert "no node has a wait that 'fail-now' cuts short" in refused.text
            assert (await rolldeck(stack, "control", "shop", "enough")).code == 0
            cut = await running.event("wait_cut", node="web1")
            assert (cut["what"], cut["step"], cut["via"]) == ("enough", "drain", "terminal")
            done = await running.event("step_done", node="web1", step="drain")
            assert done["detail"] == "forced to maintenance by an operator"
            await running.event("waiting", node="web1", step="verify")
            assert (await rolldeck(stack, "control", "shop", "fail-now", "--node", "web1")).code == 0
            failed = await running.event("node_failed", node="web1")
            assert "cut short by" in failed["error"]
            run = await running.end()
        assert run.code == 1, run.text
        sent = [command for _, command in run.sent]
        assert "shutdown sessions server shop/web1" in sent
        assert run.ended["duration_s"] < 300
        assert run.ended["pending"] == ["web2"]
