"""Preflight sees traffic that reaches a node past what is drained."""

from dataclasses import replace

from backends.errors import Unreachable
from orchestrator.plan import Finding, Severity
from tests.unit.fakes import World
from tests.unit.virtual_time import run


async def found(world: World, severity: Severity) -> list[tuple[str, str]]:
    findings: tuple[Finding, ...] = (await world.plan()).findings
    return [(each.subject, each.text) for each in findings if each.severity is severity]


async def warnings(world: World) -> list[tuple[str, str]]:
    return await found(world, Severity.WARNING)


def test_a_node_in_a_backend_that_is_not_named_is_an_error_unless_that_is_accepted() -> None:
    async def scenario() -> None:
        world = World(2, 2)
        assert await found(world, Severity.ERROR) == []
        world.balancers["lb2"].add("api", "web1-api", world.nodes["web1"])
        [(node, text)] = await found(world, Severity.ERROR)
        assert node == "web1"
        assert text.startswith("is also api/web1-api on lb2 (UP), which is not taken out with it")
        assert "unmanaged_backends" in text
        world.application = replace(world.application, unmanaged_backends=("api",))
        assert await found(world, Severity.ERROR) == []
        assert [node for node, _ in await warnings(world)] == ["web1"]

    run(scenario())


def test_in_maintenance_there_it_is_no_danger() -> None:
    async def scenario() -> None:
        world = World(2, 1)
        world.balancers["lb1"].add("api", "web1", world.nodes["web1"]).set_state("maint")
        assert await warnings(world) == []

    run(scenario())


def test_what_could_not_be_seen_is_said() -> None:
    async def scenario() -> None:
        world = World(2, 1)
        world.balancers["lb1"].faults.add("snapshot", None)
        world.balancers["lb1"].faults.add("snapshot", Unreachable("lb1", "timed out"))
        [(balancer, text)] = await found(world, Severity.ERROR)
        assert balancer == "lb1"
        assert text == (
            "whether its nodes also stand in other backends, or others follow them, could not be seen:"
            " timed out"
        )

    run(scenario())
