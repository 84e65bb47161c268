"""Preflight sees traffic that reaches a node past what is drained."""

from dataclasses import replace

import pytest

from backends.errors import Unreachable
from orchestrator.planning.findings import Finding, Severity
from tests.support.fake_fleet import World


async def found(world: World, severity: Severity) -> list[tuple[str, str]]:
    findings: tuple[Finding, ...] = (await world.plan()).findings
    return [(finding.subject, finding.text) for finding in findings if finding.severity is severity]


async def warnings(world: World) -> list[tuple[str, str]]:
    return await found(world, Severity.WARNING)


@pytest.mark.virtual_time
async def test_a_node_in_a_backend_that_is_not_named_is_an_error_unless_that_is_accepted() -> None:
    world = World(2, 2)
    assert await found(world, Severity.ERROR) == []
    world.balancers["lb2"].add("api", "web1-api", world.nodes["web1"])
    [(node, text)] = await found(world, Severity.ERROR)
    assert node == "backend api"
    assert text.startswith("has the node web1 (as web1-api) too (on lb2), which is not drained there:")
    assert "ignored_backends" in text
    world.application = replace(world.application, ignored_backends=("api",))
    assert await found(world, Severity.ERROR) == []
    assert [subject for subject, _ in await warnings(world)] == ["backend api"]


@pytest.mark.virtual_time
async def test_each_backend_is_said_once_whatever_of_it_is_concerned() -> None:
    world = World(12, 2)
    for balancer in world.balancers.values():
        for number, (name, node) in enumerate(world.nodes.items()):
            balancer.add("api", name, node)
            balancer.add("odd", "abcdefghijkl"[number], node)
        for number in range(1, 7):
            balancer.add("blog", f"b{number}", world.nodes["web2"])
    [(api, both), (odd, some), (blog, one)] = await found(world, Severity.ERROR)
    assert (api, odd, blog) == ("backend api", "backend odd", "backend blog")
    assert both.startswith("has the nodes web[1-12] too (on lb1, lb2), which are not drained there:")
    names = ", ".join(f"web{number} (as {'abcdefgh'[number - 1]})" for number in range(1, 9))
    assert some.startswith(f"has the nodes {names} and 4 more too (on lb1, lb2)")
    assert one.startswith("has the node web2 (as b[1-6]) too (on lb1, lb2), which is not")


@pytest.mark.virtual_time
async def test_in_maintenance_there_it_is_no_danger() -> None:
    world = World(2, 1)
    world.balancers["lb1"].add("api", "web1", world.nodes["web1"]).set_state("maint")
    assert await warnings(world) == []


@pytest.mark.virtual_time
async def test_what_could_not_be_seen_is_said() -> None:
    world = World(2, 1)
    world.balancers["lb1"].faults.add("snapshot", None)
    world.balancers["lb1"].faults.add("snapshot", Unreachable("lb1", "timed out"))
    [(balancer, text)] = await found(world, Severity.ERROR)
    assert balancer == "lb1"
    assert text == (
        "whether its nodes are also in other backends, or tracked there, could not be checked: timed out"
    )
