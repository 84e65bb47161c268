"""Whether HAProxy's server of a node's name is that node's machine: another node's address is an error."""

from dataclasses import replace
from typing import Any

import pytest

from backends.model import Server
from orchestrator.node import Node
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.mapping import Endpoints, map_nodes
from tests.support.console_values import server
from tests.support.fake_fleet import World
from tests.support.virtual_time import run


async def _nodes() -> tuple[Node, ...]:
    return World(nodes=3, instances=1).application.nodes


ONE, TWO, _ = run(_nodes())


def node(like: Node, *addresses: str, port: int = 80) -> Node:
    return replace(like, addresses=frozenset(addresses), port=port)


def line(name: str, address: str, port: int = 80, **changes: Any) -> Server:
    return server(name, address=address, port=port, **changes)


def judged(nodes: tuple[Node, ...], *servers: Server) -> list[Finding]:
    """The findings of the first node, whose lines these are."""
    return list(Endpoints(nodes).judge(nodes[0], servers))


def errors(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.severity is Severity.ERROR]


def warnings(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.severity is Severity.WARNING]


APART = node(ONE, "10.0.0.1"), node(TWO, "10.0.0.2")
LOOPBACK = node(ONE, "127.0.0.1", port=23001), node(TWO, "127.0.0.1", port=23002)
SHARED = node(ONE, "10.0.0.1", port=80), node(TWO, "10.0.0.1", port=81)


@pytest.mark.parametrize(
    ("nodes", "address", "port", "there", "ours"),
    [
        (LOOPBACK, "127.0.0.1", 23002, "127.0.0.1:23002", "127.0.0.1:23001"),
        (SHARED, "10.0.0.1", 81, "10.0.0.1:81", "10.0.0.1:80"),
        (APART, "10.0.0.2", 80, "10.0.0.2:80", "10.0.0.1:80"),
        (APART, "10.0.0.2", 8443, "10.0.0.2:8443", "10.0.0.1:80"),  # where they differ, addresses decide
        (APART, "10.0.0.2", 0, "10.0.0.2", "10.0.0.1:80"),  # a port that is computed for each connection
        (APART, "::ffff:10.0.0.2", 80, "10.0.0.2:80", "10.0.0.1:80"),
        (
            (node(ONE, "fd00::1"), node(TWO, "fd00:0::2")),
            "fd00::2",
            80,
            "[fd00::2]:80",
            "[fd00::1]:80",
        ),
    ],
)
def test_the_address_of_another_node_is_an_error(
    nodes: tuple[Node, ...], address: str, port: int, there: str, ours: str
) -> None:
    found = judged(nodes, line("web1", address, port))
    assert errors(found) == [
        f"shop/web1 on lb1 has the address {there}, which is that of web2; web1 is {ours}:"
        " one machine would be drained, and another one stopped"
    ]
    assert warnings(found) == []


def test_the_address_of_another_node_is_an_error_in_one_of_several_backends_too() -> None:
    right = line("web1", "127.0.0.1", 23001)
    wrong = line("web1", "127.0.0.1", 23002, ref=replace(right.ref, backend="api"))
    assert [text.split(" has ")[0] for text in errors(judged(LOOPBACK, right, wrong))] == ["api/web1 on lb1"]


@pytest.mark.parametrize("nodes", [APART, LOOPBACK])
def test_an_address_that_nobody_has_is_a_warning_with_both(nodes: tuple[Node, ...]) -> None:
    found = judged(nodes, line("web1", "192.0.2.7", 81))
    ours = "10.0.0.1:80" if nodes is APART else "127.0.0.1:23001"
    assert errors(found) == []
    assert warnings(found) == [
        f"shop/web1 on lb1 has the address 192.0.2.7:81, the inventory says {ours}: is it the same machine?"
    ]


@pytest.mark.parametrize("nodes", [APART, LOOPBACK])
def test_one_machine_with_several_ports_is_no_doubt_when_one_is_its_own(nodes: tuple[Node, ...]) -> None:
    (address,) = nodes[0].addresses
    own = line("web1", address, nodes[0].port)
    sidecar = line("web1", address, 9443, ref=replace(own.ref, backend="tls"))
    assert judged(nodes, own, sidecar) == []
    assert warnings(judged(nodes, sidecar)) == [
        f"tls/web1 on lb1 has the address {address}:9443, the inventory says {address}:{nodes[0].port}:"
        " is it the same machine?"
    ]


@pytest.mark.parametrize(
    "seen",
    [
        line("web1", ""),  # hidden by the socket's level
        line("web1", "0.0.0.0", 80),
        line("web1", "10.0.0.1", 0),
        line("web1", "10.9.9.9", 80, host_name="one.example"),  # HAProxy resolves the node's own name
        line("web1", "one.example", 80),
    ],
)
def test_where_nothing_is_known_nothing_is_said(seen: Server) -> None:
    nodes = node(ONE, "10.0.0.1", "one.example"), node(TWO, "10.0.0.2")
    assert judged(nodes, seen) == []


def test_a_host_name_that_nobody_has_resolved_says_nothing() -> None:
    assert judged((node(ONE, "one.example"), node(TWO, "two.example")), line("web1", "10.0.0.2")) == []


def test_a_host_name_that_was_resolved_is_an_address() -> None:
    nodes = node(ONE, "one.example", "10.0.0.1"), node(TWO, "two.example", "10.0.0.2")
    assert judged(nodes, line("web1", "10.0.0.1")) == []
    assert len(errors(judged(nodes, line("web1", "10.0.0.2")))) == 1


@pytest.mark.virtual_time
async def test_a_plan_of_one_node_heeds_the_addresses_of_all_others() -> None:
    seen = await World(nodes=2, instances=1).balancer_group.read_all()
    swapped = replace(seen["lb1"], servers=(line("web1", "10.0.0.2"), line("web2", "10.0.0.1")))
    _, findings = map_nodes(APART[:1], {"lb1": swapped}, "name", among=APART)
    assert ["which is that of web2" in text for text in errors(list(findings))] == [True]
    _, findings = map_nodes(APART, {"lb1": swapped}, "name")
    assert len(errors(list(findings))) == 2


def test_by_address_a_line_that_has_moved_is_not_the_nodes_any_more() -> None:
    endpoints = Endpoints(APART, "address")
    assert endpoints.misplaced(APART[0], [line("s1", "10.0.0.1")]) == ""
    assert endpoints.misplaced(APART[0], [line("s1", "")]) == ""
    assert endpoints.misplaced(APART[0], [line("s1", "10.0.0.2")]) == (
        "shop/s1 on lb1 has the address 10.0.0.2:80 now, and not 10.0.0.1:80 any more"
    )
