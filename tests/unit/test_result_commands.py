"""What the end of a rollout advises: tried first, never about what is somebody else's, and a way on."""

from pathlib import Path

import pytest

from backends.errors import Refused
from backends.node_state import Activity
from console.terminal.rollout_text import ending_lines
from orchestrator.errors import JournalError
from orchestrator.events.actor import Actor
from orchestrator.events.events import NodeFailed, NodeUpgraded, Record, RolloutEnded, StepDone, Traffic
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.events.steps import STEPS
from orchestrator.events.ways_back import WayOn
from tests.support.fake_fleet import World
from tests.unit.world_events import act_at_step

RESUME = WayOn(purpose="resume", command="rolldeck resume shop")
ROLLBACK = WayOn(purpose="rollback", command="rolldeck rollback shop")
ANN = Actor("ann")


@pytest.mark.virtual_time
async def test_a_bad_version_is_to_be_rolled_back_first() -> None:
    world = World(nodes=3, verify_timeout=20)
    world.nodes["web2"].sick = frozenset({"2.0"})
    ended = await world.upgrade()
    assert ended.ways_on == [ROLLBACK, RESUME]
    assert ended.versions == {"web1": "2.0", "web3": "1.0"}, "what web2 has is looked at before it is said"
    [out] = ended.out_of_rotation
    assert out.not_ready.startswith("it is not healthy: ")
    assert out.command_texts[0] == "rolldeck ready shop web2", "it may get well"


@pytest.mark.virtual_time
async def test_an_abort_between_two_nodes_names_the_way_on() -> None:
    world = World(nodes=3)

    def stop(record: Record) -> None:
        if isinstance(record.event, NodeUpgraded):
            world.control.abort(ANN, "enough")

    world.bus.subscribe(stop)
    ended = await world.upgrade()
    assert (ended.upgraded, ended.out_of_rotation) == (["web1"], [])
    assert ended.ways_on == [RESUME, ROLLBACK]
    assert ended.versions == {"web1": "2.0", "web2": "1.0", "web3": "1.0"}


@pytest.mark.virtual_time
async def test_before_anything_was_touched_there_is_nothing_to_finish() -> None:
    world = World(nodes=3)
    plan = await world.plan()
    world.control.abort(ANN, "no")
    ended = await world.carry_out(plan)
    assert (ended.result, ended.ways_on) == ("aborted", [])


@pytest.mark.virtual_time
async def test_an_end_that_is_well_names_no_way_on() -> None:
    ended = await World(nodes=2).upgrade()
    assert (ended.result, ended.ways_on, ended.blocked) == ("healthy", [], "")
    assert ended.versions == {"web1": "2.0", "web2": "2.0"}


@pytest.mark.virtual_time
async def test_ready_is_not_advised_where_the_service_does_not_run() -> None:
    """As after an installation that has filled the disk."""
    world = World(nodes=2)
    world.nodes["web1"].faults.add("install", Refused("web1", "no space left on device"))
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    [out] = ended.out_of_rotation
    assert out.not_ready.startswith("its service does not run (")
    assert out.stopped
    said = list(ending_lines(ended))
    assert not [line for line in said if "rolldeck ready" in line]
    assert [line for line in said if "state ready" in line], "HAProxy's own are named all the same"
    assert out.rollback_command == "rolldeck upgrade shop 1.0 --limit web1 --force-ready web1"
    assert ended.ways_on == [RESUME, ROLLBACK]


@pytest.mark.virtual_time
async def test_ready_is_not_advised_for_what_is_being_stopped() -> None:
    """It answers well until its manager kills it, when it would be in rotation again."""
    world = World(nodes=2, stop_timeout=5)
    node = world.nodes["web1"]
    node.stop_delay = 600

    def note(what: str) -> None:
        node.stopping = what == "stop"

    node.on_asked = note
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    [out] = ended.out_of_rotation
    assert out.not_ready == "its service is being stopped (changing)"
    assert not [line for line in ending_lines(ended) if "rolldeck ready" in line]
    assert out.rollback_command == "rolldeck upgrade shop 1.0 --limit web1 --force-ready web1"


@pytest.mark.virtual_time
async def test_what_is_being_stopped_is_started_again_whichever_version_answers() -> None:
    world = World(nodes=2)
    world.nodes["web1"].stopping = True
    plan = await world.plan("1.0")
    assert plan.node("web1").steps == tuple(STEPS)
    assert plan.node("web2").steps == ()
    assert any("its service is being stopped now" in finding.text for finding in plan.findings)


@pytest.mark.virtual_time
async def test_a_node_that_could_not_be_taken_out_is_held_and_has_not_failed() -> None:
    world = World(nodes=3, min_available=2, capacity_timeout=5)
    plan = await world.plan()
    world.take_out("web3")  # somebody's, after the plan was made
    await world.carry_out(plan)
    [ended] = world.events(RolloutEnded)
    assert (ended.failed, ended.held, ended.pending) == ([], ["web1"], ["web1", "web2", "web3"])
    assert (ended.reason, ended.ways_on) == ("held: web1", [])
    assert [event.touched for event in world.events(NodeFailed)] == [False]
    assert RolloutState.of(world.records).nodes["web1"].state is NodeState.HELD


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_what_somebody_else_has_taken_out_meanwhile_is_left_to_them(state: str) -> None:
    world = World(nodes=3, min_available=0)
    world.nodes["web3"].installed = world.nodes["web3"].running = "2.0"  # nothing to do
    act_at_step(world, StepDone, "stop", lambda: world.take_out("web3", state))
    ended = await world.upgrade()
    [out] = ended.out_of_rotation
    assert (out.node, out.by_others, out.intentional) == ("web3", True, True)
    assert (out.command_texts, out.rollback_command) == ([], "")
    assert out.since > 0
    assert ended.result == "healthy", "its own nodes are as they should be"


@pytest.mark.virtual_time
async def test_an_upgraded_node_that_somebody_has_taken_out_again_is_not_well() -> None:
    world = World(nodes=2, min_available=0)
    act_at_step(world, StepDone, "verify", lambda: world.take_out("web1"))
    ended = await world.upgrade()
    assert (ended.result, ended.reason) == ("degraded", "taken out by somebody else: web1")
    assert [(entry.node, entry.command_texts) for entry in ended.out_of_rotation] == [("web1", [])]


@pytest.mark.virtual_time
@pytest.mark.parametrize("last", [False, True])
async def test_a_full_disk_blocks_every_command_of_ours(last: bool) -> None:
    """Also one that is full only when the end is to be written."""
    world = World(nodes=2)

    def write(record: Record) -> None:
        if isinstance(record.event, RolloutEnded if last else StepDone | Traffic | RolloutEnded):
            raise JournalError(Path("/j/journal.db"), "database or disk is full")

    world.bus.subscribe(write)
    ended = await world.upgrade()
    assert ended.blocked == "journal /j/journal.db: database or disk is full"
    assert bool(ended.out_of_rotation) is not last


@pytest.mark.virtual_time
async def test_what_runs_and_is_healthy_is_not_to_be_started() -> None:
    """HAProxy's own check fails: an upgrade to the version that it has would find nothing to do."""
    world = World(nodes=3, capacity_timeout=5)

    def refuse() -> None:  # by a firewall, say
        for server in world.servers("web3"):
            server.health_down()
            server.rise = 1_000_000  # checks that it will not have passed

    act_at_step(world, StepDone, "start", refuse)
    ended = await world.upgrade()
    assert ended.held == ["web2"]
    [out] = [out for out in ended.out_of_rotation if out.node == "web3"]
    assert out.commands == []
    assert out.not_ready == "its own health is good, but HAProxy's checks fail"


@pytest.mark.virtual_time
async def test_what_is_down_and_was_not_reached_is_started_on_the_version_that_it_has() -> None:
    world = World(nodes=3, capacity_timeout=5)
    act_at_step(world, StepDone, "start", lambda: world.nodes["web3"].die(Activity.FAILED))
    ended = await world.upgrade()
    [out] = [out for out in ended.out_of_rotation if out.node == "web3"]
    assert out.command_texts == ["rolldeck upgrade shop 1.0 --limit web3"]
