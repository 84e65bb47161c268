"""Which nodes there are: from the configuration, from HAProxy, or from both."""

from typing import Any

import pytest

from backends.errors import ConfigError
from backends.model import Server
from console.config.config_file import parse
from orchestrator.inventory.resolver import NodeSpec, resolve_nodes
from tests.support.console_values import raw, server


def found(*servers: Server, **app: Any) -> list[NodeSpec]:
    settings = parse(raw(**app), "f").app("shop")
    return resolve_nodes(settings.nodes, servers, "f", "apps.shop.nodes", settings.port)


def places(members: list[NodeSpec]) -> list[tuple[str, str, int]]:
    return [(node.name, node.address, node.port) for node in members]


def test_without_nodes_every_server_is_one() -> None:
    both = [server(name, instance) for instance in ("lb1", "lb2") for name in ("web1", "web2")]
    assert places(found(*both)) == [("web1", "10.0.0.11", 8080), ("web2", "10.0.0.11", 8080)]


def test_nodes_are_exactly_those_of_the_configuration_in_its_order() -> None:
    nodes = {"web2": {}, "web1": {"address": "10.0.0.9", "port": 81}}
    seen = [server("web1"), server("web2", address="10.0.0.12"), server("web3")]
    assert places(found(*seen, nodes=nodes)) == [("web2", "10.0.0.12", 8080), ("web1", "10.0.0.9", 81)]


def test_the_port_is_the_nodes_own_or_the_applications_or_haproxys() -> None:
    nodes = {"web1": {"port": 1}, "web2": {}}
    seen = [server("web1"), server("web2")]
    assert [node.port for node in found(*seen, nodes=nodes, port=2)] == [1, 2]
    assert [node.port for node in found(*seen, nodes=nodes)] == [1, 8080]


def test_a_node_may_have_other_names_in_haproxy() -> None:
    nodes = {"one": {"servers": ["api/s1", "s2"]}}
    seen = [server("s1", backend="web", address="10.0.0.1"), server("s1", backend="api", address="10.0.0.2")]
    [one] = found(*seen, nodes=nodes)
    assert (one.servers, one.address) == (("api/s1", "s2"), "10.0.0.2")


@pytest.mark.parametrize(("changes", "field"), [({"address": ""}, "address"), ({"port": 0}, "port")])
def test_what_nobody_tells_is_missing(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^f: apps.shop.nodes.web1.{field}: missing, and HAProxy does not"
    ):
        found(server(**changes))


def test_without_haproxy_the_configuration_may_say_it_all() -> None:
    nodes = {"web1": {"address": "10.0.0.9", "port": 81}}
    assert places(found(nodes=nodes)) == [("web1", "10.0.0.9", 81)]
    with pytest.raises(ConfigError, match=r"web1\.address: missing"):
        found(nodes={"web1": {}})


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "-oProxyCommand=x"},
        {"name": "web1;reboot"},
        {"name": "$(reboot)"},
        {"address": "10.0.0.1'; reboot; '"},
        {"address": "/run/web1.sock"},
        {"address": "-oProxyCommand=x"},
    ],
)
def test_what_haproxy_says_cannot_become_a_command(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^f: apps.shop.nodes.*: .* cannot be used"):
        found(server(**changes))


def test_addresses_of_the_second_kind_are_fit() -> None:
    assert places(found(server(address="2001:db8::1"))) == [("web1", "2001:db8::1", 8080)]


def test_one_name_for_two_machines_is_no_inventory() -> None:
    seen = [server("s1", backend="web", address="10.0.0.1"), server("s1", backend="api", address="10.0.0.2")]
    with pytest.raises(ConfigError, match=r"server 's1' in HAProxy is several places: 10\.0\.0\.1:8080, 10"):
        found(*seen)
    assert len(found(*seen, nodes={"one": {"servers": ["web/s1"]}})) == 1
