from dataclasses import replace

import pytest

from orchestrator.engine.node_groups import NodeGroups
from tests.support.fake_fleet import World


@pytest.mark.virtual_time
async def test_a_node_is_old_until_it_is_back_with_the_target_version() -> None:
    plan = await World().plan()
    groups = NodeGroups(plan, {"other": "2.0", "older": "1.0", "unknown": ""})
    assert [groups.group_of(name) for name in ("web1", "other", "older", "unknown", "foreign")] == [
        "old",
        "new",
        "old",
        "",
        "",
    ]
    groups.take_out("web1")
    assert groups.group_of("web1") == ""
    groups.put_back("web1", "2.0")
    assert groups.group_of("web1") == "new"
    groups.put_back("web1", "1.0")  # after a failure, with its old version
    assert groups.group_of("web1") == "old"


@pytest.mark.virtual_time
async def test_in_a_rollback_each_node_has_a_target_of_its_own() -> None:
    plan = await World().plan("0.9")
    targets = ("0.8", "0.9", "0.9")
    nodes = tuple(
        replace(node, target_version=target) for node, target in zip(plan.nodes, targets, strict=True)
    )
    groups = NodeGroups(replace(plan, version="0.8 and 0.9", nodes=nodes), {})
    for name, version in (("web1", "0.8"), ("web2", "0.9")):
        groups.put_back(name, version)
        assert groups.group_of(name) == "new"


@pytest.mark.virtual_time
async def test_what_is_installed_says_nothing_of_what_serves() -> None:
    world = World()
    world.nodes["web1"].installed = "2.0"  # and 1.0 still runs
    world.nodes["web2"].installed = world.nodes["web2"].running = "2.0"
    groups = NodeGroups(await world.plan(), {})
    assert (groups.group_of("web1"), groups.group_of("web2")) == ("old", "new")
