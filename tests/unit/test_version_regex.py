"""The version that an application reports may be a part of the package's version."""

from dataclasses import replace

import pytest

from orchestrator.events.events import NodeStarted, NodeUpgraded, Record, RolloutStarted, Waiting
from orchestrator.live.versions import VersionTracker
from tests.support.fake_fleet import World
from tests.support.virtual_time import EPOCH
from tests.unit import journals


@pytest.mark.virtual_time
async def test_the_part_is_compared_with_what_runs() -> None:
    world = World(nodes=2, instances=1)
    for node in world.nodes.values():
        node.installed = "1.0-1"
        node.runs = "2.0"  # whatever the package is called
    nodes = tuple(replace(node, version_regex="^([^-]+)") for node in world.application.nodes)
    world.application = replace(world.application, nodes=nodes)
    plan = await world.plan("2.0-1", limit=["web1"])
    # A rollback installs what was there before, so it has the package's name wherever it is written down.
    assert (plan.node("web1").displayed_version, plan.node("web1").reason) == ("1.0-1", "1.0-1 → 2.0-1")
    ended = await world.upgrade("2.0-1")
    assert (ended.result, ended.reason) == ("healthy", "")
    assert world.events(RolloutStarted)[0].before == {"web1": "1.0-1", "web2": "1.0-1"}
    again = await world.plan("2.0-1")
    assert again.batches == ()


@pytest.mark.virtual_time
async def test_what_a_rollout_has_proven_is_called_as_the_application_calls_it() -> None:
    world = World(nodes=4, instances=1)
    nodes = tuple(replace(node, version_regex="^([^-]+)") for node in world.application.nodes)
    versions = VersionTracker(world.clock, sees=True, version_regex="^([^-]+)")
    journal = {"web1": "2.0-1", "web2": "1.0-1", "web3": "3.0-1"}
    versions.learn(Record(1, EPOCH, journals.started(before=dict.fromkeys(world.nodes, "1.0-1"))), "2.0-1")
    versions.learn(Record(2, EPOCH, NodeStarted(node="web1", version="2.0-1", originals=[])), "2.0-1")
    baking = Waiting(node="web1", step="verify", reason="", remaining_s=3, baking=True)
    for proven in (baking, NodeUpgraded(node="web1", duration_s=1.0, version="2.0-1")):
        versions.learn(Record(3, EPOCH, proven), "2.0-1")
        assert versions.by_node == {"web1": "2.0", "web2": "1.0", "web3": "1.0", "web4": "1.0"}
    known = {"web1": "2.0-1", "web2": "1.0-1", "web3": "1.0", "web4": "1.0"}
    assert versions.find_installed(journal) == known
    world.nodes["web1"].running = "2.0"
    await versions.read(nodes)
    assert versions.by_node == {"web1": "2.0", "web2": "1.0", "web3": "1.0", "web4": "1.0"}
    assert versions.find_installed(journal) == known


@pytest.mark.virtual_time
async def test_without_it_the_whole_version_has_to_run() -> None:
    world = World(nodes=2, instances=1)
    for node in world.nodes.values():
        node.runs = "2.0"
    ended = await world.upgrade("2.0-1")
    assert ended.failed == ["web1"]
