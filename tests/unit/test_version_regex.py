"""The version that an application reports may be a part of the package's version."""

from dataclasses import replace

import pytest

from tests.support.fake_fleet import World


@pytest.mark.virtual_time
async def test_the_part_is_compared_with_what_runs() -> None:
    world = World(nodes=2, instances=1)
    for node in world.nodes.values():
        node.runs = "2.0"  # whatever the package is called
    nodes = tuple(replace(node, version_regex="^([^-]+)") for node in world.application.nodes)
    world.application = replace(world.application, nodes=nodes)
    ended = await world.upgrade("2.0-1")
    assert (ended.result, ended.reason) == ("healthy", "")
    again = await world.plan("2.0-1")
    assert again.batches == ()


@pytest.mark.virtual_time
async def test_without_it_the_whole_version_has_to_run() -> None:
    world = World(nodes=2, instances=1)
    for node in world.nodes.values():
        node.runs = "2.0"
    ended = await world.upgrade("2.0-1")
    assert ended.failed == ["web1"]
