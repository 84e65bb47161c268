"""`back` after a failure, on real servers: one node gets its last healthy version, and no other does."""

from pathlib import Path
from typing import Any

import pytest

from console.demo.node import Release
from console.demo.stack import Stack
from tests.integration.operators import Operator, operator_of
from tests.support.rollouts import (
    NEW,
    OLD,
    admin_states,
    journalled,
    rolldeck,
    tune,
    until_up,
    versions,
    world,
)
from tests.support.wait import until

MIXED = {"web1": NEW, "web2": OLD, "web3": OLD}


def prepare(stack: Stack) -> None:
    """web2 will not become healthy on the new version."""
    tune(stack, "apps.shop.rollout", verify_timeout=1, balancer_unreachable_timeout=2)
    stack.nodes["web2"].add_release(Release(version=NEW, healthy=False, start_delay=0.1))


async def until_failed(operator: Operator) -> None:
    await operator.reads("[y/N]")
    operator.types("y")
    await operator.reads(f"back (back to {OLD}, this node only)")


def events_of(stack: Stack, kind: str, node: str) -> list[dict[str, Any]]:
    return [event for event in journalled(stack) if event["event"] == kind and event["node"] == node]


async def test_one_node_goes_back_and_the_rollout_asks_again(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        prepare(stack)
        async with operator_of(stack, "upgrade", "shop", NEW) as operator:
            await until_failed(operator)
            operator.types("back")
            await operator.reads(f"is back on {OLD}; {OLD} on web2, web3; {NEW} on web1: what now")
            await until_up(stack)
            assert await admin_states(stack) == {0}
            assert await versions(stack) == MIXED
            operator.types("abort")
            run = await operator.end()
        assert run.code == 4, run.text
        assert f"  failed and rolled back: web2 ({OLD}, in rotation)" in run.out
        [decided, _] = [event for event in journalled(stack) if event["event"] == "decision_made"]
        assert (decided["choice"], decided["via"]) == ("back", "terminal")
        [failed] = events_of(stack, "node_failed", "web2")
        assert failed["servers"]
        status = await rolldeck(stack, "status")
        assert "rolldeck rollback shop" in status.text
        back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
        assert back.ended["rolled_back"] == ["web1"]  # web2 is back already


@pytest.mark.long
async def test_a_way_back_that_was_killed_is_finished_by_resume(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        prepare(stack)
        async with operator_of(stack, "upgrade", "shop", NEW) as operator:
            await until_failed(operator)
            stack.nodes["web2"].add_release(Release(version=OLD, start_delay=2))
            operator.types("back")

            async def starts() -> bool:
                return len([e for e in events_of(stack, "step_started", "web2") if e["step"] == "start"]) == 2

            await until(starts)
            operator.process.kill()
            await operator.end()
        resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        assert resumed.code == 0, resumed.text
        assert await versions(stack) == MIXED | {"web3": NEW}
        assert await admin_states(stack) == {0}
        # The nodes have two versions, so that the rollout is not finished: the next one upgrades web2 too.
        stack.nodes["web2"].add_release(Release(version=NEW, start_delay=0.1))
        resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        assert resumed.code == 0, resumed.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
