"""What a rollout does because of a verdict, whatever the evidence: the judge says what the test wants."""

import asyncio
from typing import Literal

import pytest

from backends.model import AdminState, Persistence
from orchestrator.canary.joint_judge import JointJudge
from orchestrator.canary.judgement import Judgement
from orchestrator.engine import version_judgement
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    NodeFailed,
    NodeNote,
    RolloutEnded,
)
from orchestrator.events.judgement import Evidence, Measured, Verdict, VerdictChanged
from tests.support.fake_balancer import FakeFacts
from tests.support.fake_fleet import World, answer, steps
from tests.support.scripted_judge import REASON, ScriptedJudge, say
from tests.unit.world_events import once_baking, once_installing, until_baking


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedJudge.install(monkeypatch)


async def bad_while_it_bakes(world: World) -> list[float]:
    """Say that web1 is bad while it bakes; returns when that was."""
    await until_baking(world)
    await asyncio.sleep(1.1)
    say("bad", "web1")
    began = asyncio.get_running_loop().time()
    await world.until(lambda: world.admin("web1") == [AdminState.DRAIN] * 2, step=0.001)
    return [began, asyncio.get_running_loop().time()]


@pytest.mark.virtual_time
async def test_a_node_that_bakes_leaves_at_once_and_nothing_else_is_drained() -> None:
    world = World(bake_time=60)
    beside = asyncio.create_task(bad_while_it_bakes(world))
    ended = await world.upgrade()
    began, drained = await beside
    assert drained - began <= 0.25
    assert (ended.result, ended.failed, ended.pending) == ("degraded", ["web1"], ["web2", "web3"])
    assert ended.reason == f"failed: web1; verdict bad: {REASON}"
    [failed] = world.events(NodeFailed)
    assert (failed.node, failed.step, failed.error) == ("web1", "verify", REASON)
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]
    assert ended.out_of_rotation[0].commands
    assert world.admin("web1") == [AdminState.MAINT] * 2
    assert not world.sent("web2")
    assert not world.sent("web3")


@pytest.mark.virtual_time
async def test_a_node_that_was_done_leaves_and_the_next_one_is_not_put_into_rotation() -> None:
    world = World(bake_time=0)
    once_installing(world, "web2", lambda: say("bad", "web1"))
    ended = await world.upgrade()
    assert (ended.result, ended.failed, ended.upgraded) == ("degraded", ["web1", "web2"], [])
    assert (ended.pending, ended.skipped) == (["web3"], [])
    errors = {event.node: event.error for event in world.events(NodeFailed)}
    assert errors == {"web1": REASON, "web2": f"was not put into rotation: {REASON}"}
    assert not world.sent("web3")
    assert {entry.node for entry in ended.out_of_rotation} >= {"web2"}


@pytest.mark.virtual_time
async def test_where_the_floor_needs_it_a_bad_node_stays_and_that_is_said() -> None:
    world = World(nodes=2, bake_time=0, min_available=1)
    once_installing(world, "web2", lambda: say("bad", "web1"))
    ended = await world.upgrade()
    assert ended.result == "degraded"
    assert world.admin("web1") == [AdminState.READY] * 2
    assert any("because of the floor" in event.text for event in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_an_operator_who_retries_a_bad_version_is_judged_anew() -> None:
    world = World(bake_time=10, interactive=True)

    async def decide() -> None:
        await bad_while_it_bakes(world)
        question = await world.question("web1")
        assert REASON in world.control.questions[0].text
        say("good")
        world.control.answer(question, "retry", Actor("ann"))

    ended = await world.during(decide())
    assert ended.result == "healthy"
    assert len(ScriptedJudge.made) == 2
    assert steps(world, "web1").count("verify") == 2


@pytest.mark.virtual_time
@pytest.mark.parametrize(("verdict", "is_shown"), [("watch", True), ("off", False)])
async def test_a_verdict_that_is_only_watched_stops_nothing(
    verdict: Literal["watch", "off"], is_shown: bool
) -> None:
    world = World(bake_time=2, verdict=verdict)
    once_baking(world, "web1", lambda: say("bad", "web1"))
    ended = await world.upgrade()
    assert (ended.result, ended.reason) == ("healthy", "")
    assert any(event.state == "bad" for event in world.events(VerdictChanged)) is is_shown
    assert bool(world.events(Measured)) is is_shown


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("verdict", "state", "fails"),
    [("stop", "good", False), ("stop", "blind", True), ("watch", "good", True), ("off", "good", True)],
)
async def test_errors_are_limited_where_no_verdict_decides(
    verdict: Literal["stop", "watch", "off"], state: Verdict, fails: bool
) -> None:
    world = World(bake_time=3, verdict=verdict)
    say(state)

    async def fail() -> None:
        await until_baking(world)
        await asyncio.sleep(0.5)
        world.server("web1").errors_5xx += 1

    ended = await world.during(fail())
    assert bool(ended.failed) is fails
    if fails:
        assert "clients saw 1 error" in world.events(NodeFailed)[0].error


@pytest.mark.virtual_time
async def test_a_number_of_errors_that_is_set_counts_beside_a_verdict() -> None:
    world = World(bake_time=3, max_5xx=0)

    async def fail() -> None:
        await until_baking(world)
        await asyncio.sleep(0.5)
        world.server("web1").errors_5xx += 1

    assert (await world.during(fail())).failed == ["web1"]


@pytest.mark.virtual_time
async def test_a_version_that_could_not_be_judged_is_never_called_good() -> None:
    world = World(bake_time=2)
    say("blind")
    ended = await world.upgrade()
    assert (ended.result, ended.unproven) == ("healthy", ["web1", "web2", "web3"])  # as their bakes say
    assert {event.state for event in world.events(VerdictChanged)} == {"blind"}


@pytest.mark.virtual_time
async def test_events_come_at_each_change_and_at_intervals_and_polls_are_frequent_after_a_return() -> None:
    world = World(nodes=1, bake_time=100, min_available=0)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    at = [record.at for record in world.records if isinstance(record.event, VerdictChanged)]
    assert 9 <= len(at) <= 12
    assert 2 <= len(world.events(Measured)) <= 4
    assert all(event.evidence is not None for event in world.events(Measured))
    [judge] = ScriptedJudge.made
    polls = [poll.at for poll in judge.polls if poll.balancer == "lb1"]
    begin = at[0] - world.records[0].at + polls[0]
    assert 110 <= len([poll for poll in polls if begin <= poll < begin + 30]) <= 125
    assert 25 <= len([poll for poll in polls if begin + 40 <= poll < begin + 70]) <= 32


@pytest.mark.virtual_time
async def test_a_rollout_ends_with_the_counts_of_its_last_moment() -> None:
    world = World(nodes=1, bake_time=5, min_available=0)
    last = Judgement(state="good", requests=77, compared_s=4.0)
    once_baking(world, "web1", lambda: setattr(ScriptedJudge, "verdict", last))
    await world.upgrade()
    found = world.events(VerdictChanged)
    assert [(event.requests, event.compared_s) for event in found] == [(0, 0.0), (77, 4.0)]


@pytest.mark.virtual_time
async def test_an_error_of_the_judge_ends_the_rollout_as_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Judgement:
        raise ZeroDivisionError

    monkeypatch.setattr(ScriptedJudge, "judge", fail)
    world = World(bake_time=2)
    ended = await world.upgrade()
    assert isinstance(ended, RolloutEnded)
    assert ended.result == "degraded"
    assert world.rollout is not None
    assert isinstance(world.rollout.defect, ZeroDivisionError)


@pytest.mark.virtual_time
async def test_a_bad_node_outside_the_plan_stops_new_drains_and_is_left_alone() -> None:
    world = World(bake_time=2)
    once_baking(world, "web1", lambda: say("bad", "web3"))
    ended = await world.carry_out(await world.plan(limit=["web1", "web2"]))
    assert (ended.result, ended.pending) == ("degraded", ["web2"])
    assert ended.reason == f"verdict bad: {REASON}"
    assert world.admin("web3") == [AdminState.READY] * 2
    assert any("not part of this rollout" in event.text for event in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_evidence_that_cannot_be_understood_is_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(version_judgement, "JointJudge", JointJudge)
    world = World(bake_time=2)
    context = RolloutContext(evidence=Evidence(logs={"hard": [1.0], "latency:x": []}, sums={"chi": -1.0}))
    plan = await world.plan()
    assert (await world.carry_out(plan, context)).result == "healthy"
    assert any("cannot be understood" in event.text for event in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_evidence_of_before_is_what_the_judge_begins_with() -> None:
    world = World(nodes=1, min_available=0, bake_time=1)
    context = RolloutContext(evidence=Evidence(sums={"requests": 7.0}))
    plan = await world.plan()
    await world.carry_out(plan, context)
    [judge] = ScriptedJudge.made
    assert judge.evidence_before == context.evidence


@pytest.mark.virtual_time
@pytest.mark.parametrize("by", ["cookie", "algorithm", "stick table", ""])
async def test_the_judge_knows_whether_clients_are_tied_to_servers(by: str) -> None:
    world = World(nodes=1, min_available=0, bake_time=1)
    balancer = world.balancers["lb2"]
    balancer.cookie = "SRV" if by == "cookie" else ""
    balancer.algorithm = "source" if by == "algorithm" else "roundrobin"
    if by == "stick table":
        balancer.config = FakeFacts(persistence={"shop": Persistence((by,))})
    assert (await world.upgrade()).result == "healthy"
    [judge] = ScriptedJudge.made
    assert judge.background.is_sticky is bool(by)
    assert len(judge.background.lifetimes) == 2


@pytest.mark.virtual_time
async def test_nodes_of_a_batch_are_named_one_after_the_other() -> None:
    world = World(nodes=4, serial=2, bake_time=20)

    def name_both() -> None:
        world.at(2, lambda: say("bad", "web1"))
        world.at(3, lambda: say("bad", "web2"))

    once_baking(world, "web2", name_both)
    ended = await world.upgrade()
    assert (ended.failed, ended.upgraded, ended.pending) == (["web1", "web2"], [], ["web3", "web4"])
    assert {event.error for event in world.events(NodeFailed)} == {REASON}
    assert not world.sent("web3")


@pytest.mark.virtual_time
async def test_after_an_abort_the_verdict_is_still_bad() -> None:
    world = World(bake_time=10, interactive=True)

    async def decide() -> None:
        await bad_while_it_bakes(world)
        await answer(world, "abort", "web1")

    ended = await world.during(decide())
    assert (ended.result, ended.failed) == ("aborted", ["web1"])
    assert world.events(VerdictChanged)[-1].state == "bad"
    assert len(ScriptedJudge.made) == 1


@pytest.mark.virtual_time
async def test_a_version_that_was_bad_before_a_kill_is_not_put_into_rotation_again() -> None:
    world = World(bake_time=1)
    world.nodes["web1"].installed = world.nodes["web1"].running = "2.0"
    say("bad", "web1")
    context = RolloutContext(evidence=Evidence(sums={"bad web1": 1.0}))
    plan = await world.plan()
    ended = await world.carry_out(plan, context)
    assert (ended.result, ended.failed, ended.upgraded) == ("degraded", ["web1"], [])
    assert world.admin("web1") == [AdminState.MAINT] * 2
    assert not world.sent("web2")


@pytest.mark.virtual_time
async def test_a_node_that_went_back_since_a_bad_verdict_is_left_alone() -> None:
    world = World(bake_time=1)
    say("bad", "web1")
    context = RolloutContext(evidence=Evidence(sums={"bad web1": 1.0}))
    plan = await world.plan()
    ended = await world.carry_out(plan, context)
    assert (ended.result, ended.reason) == ("degraded", f"verdict bad: {REASON}")
    assert world.admin("web1") == [AdminState.READY] * 2
    assert not world.touched()
