"""A node gets its weight back in stages; whatever happens meanwhile, its weight is exact in the end."""

import asyncio
from collections.abc import Callable

import pytest

from backends.errors import Unreachable
from orchestrator.engine.no_judgement import NoJudgement
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps.quarantine import quarantine
from orchestrator.engine.steps.verify import verify
from orchestrator.errors import StepTimeout
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    CommandSending,
    NodeFailed,
    NodeNote,
    Record,
    StepDone,
    Waiting,
)
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.planning.removal import measure_removal
from tests.support.fake_fleet import World
from tests.unit.ramp_worlds import ramp_world
from tests.unit.world_events import act_at_step, act_once


def weights_sent(world: World, name: str) -> list[int]:
    return [int(line.split()[-1]) for line in world.sent(name) if " weight " in line]


def ramping(world: World, name: str, percent: int) -> bool:
    """Whether a node is held at this stage now, with this weight everywhere."""
    waits = [event for event in world.events(Waiting) if event.node == name and event.weight_percent]
    return bool(waits) and waits[-1].weight_percent == percent


async def reach(world: World, name: str = "web1", percent: int = 50) -> None:
    await world.until(lambda: ramping(world, name, percent), step=0.5)


@pytest.mark.virtual_time
async def test_each_node_gets_its_weight_back_in_stages() -> None:
    world = ramp_world(2, 2)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert weights_sent(world, "web1") == [10, 50, 100] * 2
    lines = [line for _, line in world.balancers["lb1"].sent if "shop/web1" in line]
    assert lines[-4:] == [
        "set server shop/web1 weight 10",
        "set server shop/web1 state ready",
        "set server shop/web1 weight 50",
        "set server shop/web1 weight 100",
    ]
    planned = (await world.plan("3.0")).node("web1").commands
    assert [row.command for row in planned if row.target == "lb1"][-4:] == lines[-4:]


@pytest.mark.virtual_time
async def test_a_stage_is_left_with_enough_requests() -> None:
    world = ramp_world(2, ramp_hold="verdict")

    async def serve() -> None:
        await reach(world, percent=10)
        world.server("web1").requests += 200

    start = world.clock.monotonic()
    await world.during(serve())
    stages = [event for event in world.events(Waiting) if event.node == "web1" and event.weight_percent == 10]
    assert len(stages) < 5
    assert world.clock.monotonic() - start > 3 * 60  # the others had none


@pytest.mark.virtual_time
@pytest.mark.parametrize(("percent", "counts"), [(10, False), (89, False), (90, True), (100, True)])
async def test_a_node_on_its_ramp_does_not_count_for_the_floor(percent: int, counts: bool) -> None:
    world = ramp_world(2)
    context, others = world.context("web2"), world.context("web1")
    states = context.desired_states
    states.originals |= context.originals | others.originals
    states.set_stage(dict.fromkeys(others.refs, percent))
    world.server("web1").weight = percent
    removal = await measure_removal(
        world.balancer_group, context.refs, world.policy, counts=states.counts_for_floor
    )
    assert [found.allowed for found in removal.capacities] == [counts]
    assert (await measure_removal(world.balancer_group, context.refs, world.policy)).capacities[0].allowed


@pytest.mark.virtual_time
async def test_a_drain_waits_for_a_node_on_its_ramp() -> None:
    world = ramp_world(3, serial=2, capacity_timeout=200)
    plan = await world.plan()
    world.nodes["web2"].faults.add("port", Unreachable("web2", "connection refused"), times=20)
    act_at_step(world, StepDone, "drain", lambda: world.take_out("web3"))
    ended = await world.carry_out(plan)
    assert ended.result == "healthy"
    sent = [line for _, line in world.balancers["lb1"].sent]
    assert sent.index("set server shop/web1 weight 100") < sent.index("set server shop/web2 state drain")


@pytest.mark.virtual_time
async def test_errors_at_a_stage_take_the_node_out_with_its_weight_restored() -> None:
    world = ramp_world(3, max_5xx=0)

    async def fail() -> None:
        await reach(world, percent=10)
        world.server("web1").errors_5xx += 1

    ended = await world.during(fail())
    assert ended.failed == ["web1"]
    assert weights_sent(world, "web1") == [10, 100]
    assert world.server("web1").weight == 100
    assert [out.node for out in ended.out_of_rotation] == ["web1"]


@pytest.mark.virtual_time
async def test_a_reload_at_a_stage_restores_the_stage() -> None:
    world = ramp_world(2)

    async def reload() -> None:
        await reach(world)
        world.balancers["lb1"].reload()
        assert world.server("web1").weight == 100
        await world.until(lambda: world.server("web1").weight == 50)

    ended = await world.during(reload())
    assert ended.result == "healthy"
    assert weights_sent(world, "web1") == [10, 50, 50, 100]
    assert not [note for note in world.events(NodeNote) if "this rollout wants" in note.text]


@pytest.mark.virtual_time
async def test_an_abort_at_once_names_the_node_on_its_ramp_and_its_commands() -> None:
    world = ramp_world(2)

    async def abort() -> None:
        await reach(world)
        world.control.abort(Actor("ann"), immediate=True)

    ended = await world.during(abort())
    (out,) = ended.out_of_rotation
    assert out.servers == ["shop/web1 on lb1: ready (UP), weight 50 of 100"]
    assert out.command_texts == ["rolldeck ready shop web1", "lb1: set server shop/web1 weight 100"]
    assert not out.intentional


@pytest.mark.virtual_time
async def test_an_abort_lets_the_ramp_end_and_a_pause_holds_it() -> None:
    world = ramp_world(2)

    async def act() -> None:
        await reach(world, percent=10)
        world.control.pause(Actor("ann"))
        await world.clock.sleep(300)
        assert world.server("web1").weight == 10
        world.control.abort(Actor("ann"))

    ended = await world.during(act())
    assert ended.upgraded == ["web1"]
    assert world.server("web1").weight == 100
    assert not ended.out_of_rotation


@pytest.mark.virtual_time
@pytest.mark.parametrize(("set_to", "result"), [(3, "degraded"), (80, "healthy")])
async def test_a_lowered_weight_is_somebodys_decision_and_a_raised_one_is_kept(
    set_to: int, result: str
) -> None:
    world = ramp_world(2)

    async def act() -> None:
        await reach(world, percent=10)
        world.server("web1").weight = set_to

    ended = await world.during(act())
    assert ended.result == result
    assert weights_sent(world, "web1") == [10, 100]
    noted = [note.text for note in world.events(NodeNote)] + [
        event.error for event in world.events(NodeFailed)
    ]
    assert any(f"weight {set_to}" in text for text in noted)


@pytest.mark.virtual_time
async def test_a_node_that_somebody_drains_between_two_stages_is_not_put_back() -> None:
    world = ramp_world(2)
    line = "set server shop/web1 weight 50"

    def sending(record: Record) -> bool:
        return isinstance(record.event, CommandSending) and record.event.command == line

    act_once(world, sending, lambda: world.take_out("web1", "drain"))
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    assert world.sent("web1").count("set server shop/web1 state ready") == 1


@pytest.mark.virtual_time
async def test_slow_start_lasts_through_the_stages_and_is_over_before_the_next_node() -> None:
    world = ramp_world(2, ramp_hold=1)
    for server in world.servers("web1"):
        server.slow_start = 30
    assert (await world.upgrade()).result == "healthy"
    ready = next(at for at, line in world.balancers["lb1"].sent if line == "set server shop/web1 state ready")
    drain = next(at for at, line in world.balancers["lb1"].sent if line == "set server shop/web2 state drain")
    assert drain - ready > 25


@pytest.mark.virtual_time
async def test_agent_checks_are_on_again_only_after_the_last_stage() -> None:
    world = ramp_world(2)
    server = world.server("web1")
    server.agent = server.agent_configured = True
    assert (await world.upgrade()).result == "healthy"
    lines = world.sent("web1")
    assert lines.index("enable agent shop/web1") > lines.index("set server shop/web1 weight 100")


@pytest.mark.virtual_time
async def test_a_stage_is_held_while_the_judgement_forbids_more_traffic() -> None:
    world = ramp_world(2, ramp_hold=1, verify_timeout=30)
    context = await proven(world, "web1")
    context.judgement = Doubtful(lambda: world.clock.monotonic() < 25)
    assert await verify(context) == "in rotation"
    waits = [event.reason for event in world.events(Waiting) if event.weight_percent == 10]
    assert waits[-1] == "at 10 % of its weight: 1.5.0 fails more often"
    context.judgement = Doubtful(lambda: True)
    await quarantine(context)
    with pytest.raises(StepTimeout, match=r"not within 31 s; last seen: at 10 % .* 1.5.0 fails more often"):
        await verify(context)


class Doubtful(NoJudgement):
    """It has evidence against the new version, which is no proof."""

    def __init__(self, doubts: Callable[[], bool]) -> None:
        super().__init__()
        self._doubts = doubts

    @property
    def objection(self) -> str:
        return "1.5.0 fails more often" if self._doubts() else ""


class Holding(NoJudgement):
    """It holds, until an operator continues."""

    accepted = False

    @property
    def hold(self) -> str:
        return "" if self.accepted else "the old ones fail too"

    def accept_hold(self, cause: str) -> None:
        self.accepted = True


@pytest.mark.virtual_time
@pytest.mark.parametrize("interactive", [True, False])
async def test_a_hold_holds_the_stage_and_an_operator_is_asked(interactive: bool) -> None:
    world = ramp_world(2, ramp_hold=1, verify_timeout=30, interactive=interactive)
    context = await proven(world, "web1")
    context.judgement = Holding()
    if not interactive:
        with pytest.raises(StepTimeout, match="the old ones fail too"):
            await verify(context)
        return
    verifying = asyncio.create_task(verify(context))
    question = await world.question("verdict")
    assert world.control.questions[0].text == "the old ones fail too: give it more traffic all the same?"
    world.control.answer(question, "continue", Actor("ann"))
    assert await verifying == "in rotation"
    assert world.server("web1").weight == 100


async def proven(world: World, name: str) -> StepContext:
    """A node that is in maintenance with its new version running; all of its servers return on a ramp."""
    world.nodes[name].installed = world.nodes[name].running = "2.0"
    context = world.context(name)
    context.ramped = frozenset(context.refs)
    context.desired_states.originals |= context.originals
    world.take_out(name)
    return context


@pytest.mark.virtual_time
async def test_the_state_says_that_a_node_is_ramping() -> None:
    world = ramp_world(2)

    async def abort() -> None:
        await reach(world)
        state = RolloutState.of(world.records)
        assert state.nodes["web1"].state is NodeState.RAMPING
        assert state.nodes["web1"].reason.startswith("at 50 % of its weight")

    await world.during(abort())
