"""Operators cut a wait short: what follows is what would have followed at its deadline."""

import asyncio
import re

import pytest

from backends.model import AdminState
from orchestrator.engine.steps.drain import drain
from orchestrator.errors import StepFailed
from orchestrator.events.actor import Actor
from orchestrator.events.events import NodeFailed, NodeNote, WaitCut
from orchestrator.events.text import describe
from tests.support.fake_fleet import World, steps

ANN = Actor("ann@here", "console")


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("on_remaining_sessions", "detail"),
    [
        ("proceed", "forced to maintenance, 1 session left"),
        ("shutdown", "forced to maintenance by an operator"),
        ("fail", None),
    ],
)
async def test_enough_goes_the_way_of_the_deadline(on_remaining_sessions: str, detail: str | None) -> None:
    world = World(drain_timeout=3600, maint_grace_period=5, on_remaining_sessions=on_remaining_sessions)
    world.server("web1").leaving = [now() + 7200]
    world.at(30, lambda: world.control.wait_cuts.request("enough", ANN))
    if detail is None:
        with pytest.raises(StepFailed, match='on_remaining_sessions is "fail"'):
            await drain(world.context())
    else:
        assert await drain(world.context()) == detail
    assert 35 < now() < 38, "maintenance gets its grace period all the same"
    assert world.admin("web1") == [AdminState.MAINT] * 2
    [cut] = world.events(WaitCut)
    assert (cut.node, cut.step, cut.what, cut.who, cut.via) == (
        *("web1", "drain", "enough", "ann@here", "console"),
    )
    assert describe(cut) == "on to maintenance, without waiting longer, decided by ann@here"
    assert any("cut short by ann@here" in note.text for note in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_fail_now_fails_a_verification_and_keeps_the_node_out() -> None:
    world = World(verify_timeout=3600)
    world.nodes["web1"].sick = frozenset({"2.0"})
    began = now()

    async def cut() -> None:
        await world.until(lambda: steps(world, "web1")[-1:] == ["verify"])
        await asyncio.sleep(20)
        world.control.wait_cuts.request("fail-now", ANN, "web1")

    ended = await world.during(cut())
    assert now() - began < 60
    assert (ended.result, ended.failed, ended.pending) == ("degraded", ["web1"], ["web2", "web3"])
    [failed] = world.events(NodeFailed)
    assert re.match("healthy: cut short by ann@here after 2. s; last seen: own health: 503", failed.error)
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_only_a_wait_that_can_be_cut_short_is() -> None:
    world = World(nodes=4, serial=2, drain_timeout=60)
    for name in ("web1", "web2"):
        world.server(name).leaving = [now() + 50]
    cuts = world.control.wait_cuts

    async def request() -> None:
        with pytest.raises(ValueError, match="no node has a wait that 'enough' cuts short"):
            cuts.request("enough", ANN)
        await world.until(lambda: len(cuts.nodes("enough")) == 2)
        with pytest.raises(ValueError, match="several nodes wait: web1, web2"):
            cuts.request("enough", ANN)
        with pytest.raises(ValueError, match="web3 has no wait that 'enough' cuts short"):
            cuts.request("enough", ANN, "web3")
        with pytest.raises(ValueError, match="no node has a wait that 'fail-now' cuts short"):
            cuts.request("fail-now", ANN, "web1")
        cuts.request("enough", ANN, "web2")
        cuts.request("enough", ANN, "web2")  # once is enough

    ended = await world.during(request())
    assert ended.result == "healthy"
    assert [cut.node for cut in world.events(WaitCut)] == ["web2"]


@pytest.mark.virtual_time
async def test_a_wait_can_be_cut_short_while_the_rollout_is_paused() -> None:
    world = World(drain_timeout=600)
    world.server("web1").sticky = 1
    world.at(5, lambda: world.control.pause(ANN))
    world.at(10, lambda: world.control.wait_cuts.request("enough", ANN))
    world.at(100, lambda: world.control.resume(ANN))
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert world.balancers["lb1"].sent[1][0] == pytest.approx(11, abs=1)  # maintenance, not at 100 s
