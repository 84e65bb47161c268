"""Which server lines a node is; every doubt is an error, because the wrong machine would be drained."""

from dataclasses import replace

import pytest

from backends.model import Server, ServerRef, Snapshot
from orchestrator.node import Node
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.mapping import map_nodes, map_servers
from tests.support.fake_fleet import World
from tests.support.virtual_time import run


async def _world() -> tuple[tuple[Node, ...], dict[str, Snapshot]]:
    world = World(nodes=2, instances=2)
    return world.application.nodes, await world.balancer_group.read_all()


NODES, SEEN = run(_world())


def errors(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{finding.subject} {finding.text}" for finding in findings if finding.severity is Severity.ERROR]


def with_servers(instance: str, *servers: Server) -> dict[str, Snapshot]:
    return {**SEEN, instance: replace(SEEN[instance], servers=servers)}


def test_by_name_on_every_instance() -> None:
    mapped, findings = map_nodes(NODES, SEEN, "name")
    assert mapped == {
        name: (ServerRef("lb1", "shop", name), ServerRef("lb2", "shop", name)) for name in ("web1", "web2")
    }
    assert findings == ()


def test_by_address_and_port_whatever_the_names() -> None:
    odd = [
        replace(server, ref=replace(server.ref, server=f"s{number}"))
        for number, server in enumerate(SEEN["lb2"].servers)
    ]
    mapped, findings = map_nodes(NODES, with_servers("lb2", *odd), "address")
    assert mapped["web1"] == (ServerRef("lb1", "shop", "web1"), ServerRef("lb2", "shop", "s0"))
    assert findings == ()


def test_the_port_is_part_of_the_address() -> None:
    other = [replace(server, port=81) for server in SEEN["lb2"].servers]
    _, findings = map_nodes(NODES, with_servers("lb2", *other), "address")
    assert errors(findings)[0] == (
        "web1 is not registered on lb2: looked for web1:80, found web1:81, web2:81"
    )


def test_a_node_that_one_instance_does_not_know_is_an_error() -> None:
    _, findings = map_nodes(NODES, with_servers("lb2", SEEN["lb2"].servers[1]), "name")
    assert errors(findings) == ["web1 is not registered on lb2: looked for web1, found web2"]


def test_a_name_for_one_backend_only() -> None:
    second = [replace(server, ref=replace(server.ref, backend="api")) for server in SEEN["lb1"].servers]
    seen = with_servers("lb1", *SEEN["lb1"].servers, *second)
    nodes = [replace(NODES[0], servers=("api/web1",))]
    mapped, _ = map_nodes(nodes, {"lb1": seen["lb1"]}, "name")
    assert mapped == {"web1": (ServerRef("lb1", "api", "web1"),)}


def test_twice_in_one_backend_is_an_error() -> None:
    twin = replace(SEEN["lb1"].servers[0], ref=ServerRef("lb1", "shop", "twin"))
    _, findings = map_nodes(NODES, with_servers("lb1", *SEEN["lb1"].servers, twin), "address")
    assert errors(findings) == ["web1 is in shop on lb1 more than once: web1, twin"]


def test_a_server_of_two_nodes_is_an_error() -> None:
    nodes = [NODES[0], replace(NODES[1], servers=("web1", "web2"))]
    _, findings = map_nodes(nodes, SEEN, "name")
    assert "shop/web1 on lb1 belongs to more than one node: web1, web2" in errors(findings)


@pytest.mark.parametrize(("address", "warned"), [("10.0.0.9", True), ("", False), ("10.0.0.1", False)])
def test_a_known_name_at_another_address_is_doubted(address: str, warned: bool) -> None:
    first, second = SEEN["lb1"].servers
    nodes = (replace(NODES[0], addresses=frozenset({"10.0.0.1"})), NODES[1])
    _, findings = map_nodes(nodes, with_servers("lb1", replace(first, address=address), second), "name")
    assert [finding.severity for finding in findings] == [Severity.WARNING] * warned


def test_different_backends_on_each_instance_are_pointed_out() -> None:
    extra = replace(SEEN["lb2"].servers[0], ref=ServerRef("lb2", "api", "web1"))
    mapped, findings = map_nodes(NODES, with_servers("lb2", *SEEN["lb2"].servers, extra), "name")
    assert len(mapped["web1"]) == 3
    assert [finding.text for finding in findings] == [
        "is in different backends on each (lb1: shop; lb2: api, shop)"
    ]


def test_a_line_that_also_belongs_to_a_node_that_was_not_chosen_is_an_error() -> None:
    other = replace(NODES[1], servers=("web1",))
    assert errors(map_nodes(NODES[:1], SEEN, "name")[1]) == []
    _, findings = map_nodes(NODES[:1], SEEN, "name", among=(NODES[0], other))
    assert errors(findings) == [
        "shop/web1 on lb1 belongs to more than one node: web1, web2",
        "shop/web1 on lb2 belongs to more than one node: web1, web2",
    ]


def test_a_name_that_haproxy_could_misread_is_an_error_and_nothing_is_built_for_it() -> None:
    name = "web1;shutdown"
    odd = replace(SEEN["lb2"].servers[0], ref=ServerRef("lb2", "shop", name))
    node = replace(NODES[0], servers=("web1", name))
    mapped, findings = map_nodes([node], with_servers("lb2", odd), "name")
    assert mapped["web1"] == (ServerRef("lb1", "shop", "web1"),)
    assert len(errors(findings)) == 1
    assert "could misread this name" in errors(findings)[0]


def test_the_owner_of_each_line_is_found_by_name_by_backend_and_name_and_by_place() -> None:
    first, second = SEEN["lb1"].servers
    other = replace(first, ref=ServerRef("lb1", "api", "web1"))
    nodes = [replace(NODES[0], servers=("api/web1",)), NODES[1]]
    assert map_servers(nodes, (first, second, other), "name") == {
        ("api", "web1"): "web1",
        ("shop", "web2"): "web2",
    }
    odd = replace(second, ref=ServerRef("lb1", "shop", "s2"))
    assert map_servers(NODES, (odd, replace(first, port=81)), "address") == {("shop", "s2"): "web2"}
