"""An sshd that hangs in the middle of a rollout: its node keeps serving, or goes back by itself."""

from pathlib import Path

from console.demo.load import Load
from tests.support.monit_nodes import monit_nodes
from tests.support.rollouts import (
    NEW,
    OLD,
    admin_states,
    assert_nothing_failed,
    started,
    stop_load,
    tune,
    versions,
    world,
)
from tests.support.servers.monit import needs_monit

pytestmark = needs_monit

UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json")


async def test_before_the_drain_the_node_is_left_in_rotation(tmp_path: Path, place: Path) -> None:
    async with world(place, nodes=3) as stack:
        tune(stack, "apps.shop.rollout", host_timeout=8)
        with monit_nodes(stack, tmp_path) as sshds:
            async with Load(30, stack.frontends, slow_share=0) as load:
                async with started(stack, *UPGRADE) as running:
                    await running.event("step_started", node="web1", step="install")
                    sshds["web2"].stop()
                    run = await running.end()
                report = await stop_load(load)
            assert run.code == 1, run.text
            assert_nothing_failed(report, at_least=20)
            assert (run.ended["upgraded"], run.ended["held"]) == (["web1"], ["web2"])
            assert (run.ended["pending"], run.ended["out_of_rotation"]) == (["web2", "web3"], [])
            failed = next(event for event in run.events if event["event"] == "node_failed")
            assert failed["step"] == "drain"
            assert "left in rotation" in failed["error"]
            assert not [command for _, command in run.sent if "shop/web2" in command]
            assert await admin_states(stack) == {0}
            assert await versions(stack) == {"web1": NEW, "web2": OLD, "web3": OLD}


async def test_after_the_drain_the_node_goes_back_by_itself(tmp_path: Path, place: Path) -> None:
    async with world(place, nodes=3) as stack:
        tune(stack, "apps.shop.rollout", stop_timeout=4)
        with monit_nodes(stack, tmp_path) as sshds:
            async with Load(30, stack.frontends, slow_share=0.3) as load:
                async with started(stack, *UPGRADE) as running:
                    await running.event("waiting", node="web1", step="drain")
                    sshds["web1"].stop()
                    run = await running.end()
                report = await stop_load(load)
            assert run.code == 1, run.text
            assert_nothing_failed(report, at_least=20)
            assert (run.ended["put_back"], run.ended["failed"]) == (["web1"], [])
            assert (run.ended["pending"], run.ended["out_of_rotation"]) == (["web2", "web3"], [])
            assert await admin_states(stack) == {0}
            assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
