"""From settings to adapters: which ones, with what; nothing is opened."""

from typing import Any

import pytest

from backends.command import Command
from backends.errors import ConfigError, Unreachable
from backends.haproxy.runtime import Runtime
from backends.haproxy.stats_page import StatsPage
from backends.hosts.local import LocalHost
from backends.hosts.ports import ConsolePort, NodePort
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.services.monit import MonitService
from backends.services.systemd import SystemdService
from console.config.config_file import parse
from orchestrator.adapters import AdapterFactory
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.node import Node
from tests.support.console_values import raw

APT = {"kind": "apt", "package": "shop"}
NODES = {"web1": {"address": "127.0.0.1", "port": 81}}


async def wired(**app: Any) -> Node:
    config = parse(raw(**{"install": APT, "nodes": NODES} | app), "f")
    adapters = AdapterFactory(config.ssh, lambda _: None, config.file)
    try:
        specs = resolve_nodes(await config.source_of("shop", None).read(), [], "f", "apps.shop.nodes")
        [node] = await adapters.nodes("shop", config.app("shop"), config.source_of("shop", None), specs)
        return node
    finally:
        await adapters.close()


async def test_a_node_by_default() -> None:
    node = await wired()
    assert (node.name, node.port, node.servers) == ("web1", 81, ("web1",))
    assert node.addresses == {"127.0.0.1"}
    assert isinstance(node.host, SshHost)
    assert isinstance(node.service, MonitService)
    assert isinstance(node.port_probe, NodePort)
    assert (node.health_successes, node.health_interval) == (3, 0.5)


async def test_what_a_node_says_wins_over_what_the_application_says() -> None:
    access = {"transport": "ssh", "sudo": True, "prefix": "docker exec -i app1", "port_check_from": "console"}
    own = {"web1": {**NODES["web1"], "transport": "local"}}
    node = await wired(access=access, nodes=own)
    assert isinstance(node.host, LocalHost)
    assert isinstance(node.port_probe, ConsolePort)
    assert node.host.render(Command(("id",))) == "sudo -n -- docker exec -i app1 id"
    own["web1"] |= {"sudo": False, "prefix": ""}
    assert (await wired(access=access, nodes=own)).host.render(Command(("id",))) == "id"


async def test_a_node_may_have_a_user_and_a_port_for_ssh_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, int]] = []

    async def dial(name: str, address: str, settings: SshSettings) -> None:
        asked.append((address, settings.user, settings.port))
        raise Unreachable(name, "not here")

    monkeypatch.setattr("backends.hosts.ssh_connect.dial", dial)
    for own in ({}, {"ssh_user": "joe"}, {"ssh_port": 2222, "ssh": "one"}):
        node = await wired(nodes={"web1": NODES["web1"] | own})
        with pytest.raises(Unreachable):
            await node.host.run(Command(("id",)))
    assert asked == [("127.0.0.1", "", 0), ("127.0.0.1", "joe", 0), ("one", "", 2222)]


async def test_templates_are_filled_with_what_the_node_is() -> None:
    node = await wired(service={"kind": "systemd", "name": "{app}@{node}-{port}.service"})
    assert isinstance(node.service, SystemdService)
    assert "shop@web1-81.service" in node.service.stop_command().argv


async def test_a_host_name_is_known_by_its_addresses_too() -> None:
    node = await wired(nodes={"web1": {"address": "localhost", "port": 81}})
    assert {"localhost", "127.0.0.1"} <= node.addresses
    node = await wired(nodes={"web1": {"address": "no-such-host.invalid", "port": 81}})
    assert node.addresses == {"no-such-host.invalid"}


async def test_without_a_way_to_read_the_version_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^f: apps.shop.version: missing.*install kind 'none' does not"):
        await wired(install={"kind": "none"})
    node = await wired(install={"kind": "none"}, version={"kind": "file", "path": "/opt/shop/VERSION"})
    assert node.name == "web1"


async def test_a_template_that_names_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="has no value"):
        await wired(service={"kind": "monit", "name": "{version}"})


async def test_load_balancers_in_the_order_of_the_configuration() -> None:
    document = raw()
    document["haproxy"] = {
        "lb3": {"socket": "tcp://127.0.0.1:9"},
        "lb1": {"socket": "ssh://h/run/a.sock"},
        "lb2": {"stats_url": "http://127.0.0.1:9/"},
    }
    config = parse(document, "f")
    adapters = AdapterFactory(config.ssh, lambda _: None)
    try:
        made = adapters.balancers(config.haproxy_of("shop"))
        assert [(adapter.name, type(adapter)) for adapter in made] == [
            ("lb3", Runtime),
            ("lb1", Runtime),
            ("lb2", StatsPage),
        ]
    finally:
        await adapters.close()
