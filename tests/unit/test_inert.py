"""Hosts, users and ports are inert from whichever source they come."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from asyncssh.config import SSHClientConfig
from hypothesis import given
from hypothesis import strategies as st

from backends.consul.balancers import KeyBalancers, runtime_address
from backends.consul.catalog import ConsulService, Instance
from backends.consul.settings import ConsulSettings
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings, SshAddress, TcpAddress, parse_address
from backends.hooks import HookSettings
from backends.hosts.ssh_settings import Hop
from backends.untrusted import MAX_HOST_CHARS, NotInert, check_inert, check_port
from console.config.config_file import parse
from orchestrator.inventory.consul import convert_instances
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.inventory.source import NodeSettings, check_nodes
from tests.support.console_values import raw, server

GOOD = [
    "web1",
    "10.0.0.1",
    "::1",
    "fe80::1%eth0",
    "Web-1.example.com",
    "_dmarc.x",
    ".x",
    "i-0123abcd",
    "a" * MAX_HOST_CHARS,
]
HOSTILE = [
    "$(id)",
    "`id`",
    "${HOME}",
    "$HOME",
    "-oProxyCommand=id",
    "-x",
    "%h",
    "a b",
    "a;id",
    "a|id",
    "a&id",
    "a>f",
    "a'b",
    'a"b',
    "a\\b",
    "a/b",
    "a@b",
    "a~b",
    "a{b,c}",
    "a\nb",
    "a\tb",
    "a\x1b[2J",
    "a\u202eb",
    "w\u00e9b",
    "\u0661",
    "",
    "a" * (MAX_HOST_CHARS + 1),
]


@pytest.mark.parametrize("text", GOOD)
def test_names_and_addresses_pass(text: str) -> None:
    assert check_inert(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_program_might_read_something_in_does_not(text: str) -> None:
    with pytest.raises(NotInert, match="cannot be used: expected letters, digits") as caught:
        check_inert(text)
    assert len(str(caught.value)) < 4 * MAX_HOST_CHARS
    assert str(caught.value).isprintable()


@given(st.one_of(st.from_regex(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%-]{0,30}", fullmatch=True), st.text(max_size=9)))
def test_what_passes_stays_what_it_is_in_a_shell_and_among_asyncsshs_variables(text: str) -> None:
    try:
        check_inert(text)
    except NotInert:
        return
    assert shlex.split(f"nc {text} 22") == ["nc", text, "22"]
    config: Any = SSHClientConfig.load(None, [], False, False, False, "me", (), text, ())
    config._tokens = {"h": text}
    assert config._expand_val("nc %h 22") == f"nc {text} 22"


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**400])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(NotInert, match="cannot be used: expected 1 to 65535") as caught:
        check_port(port)
    assert len(str(caught.value)) < 400


INNER = [text for text in HOSTILE if text]


def of_the_nodes(field: str) -> Callable[[str], object]:
    return lambda text: parse(raw(nodes={"web1": {field: text}}), "f")


def of_an_instance(**changes: Any) -> dict[str, NodeSettings]:
    values: dict[str, Any] = {
        "identity": "i1",
        "node": "n1",
        "address": "10.0.0.1",
        "port": 80,
        "meta": {},
        "status": "passing",
    }
    service = ConsulService(service="shop", ssh="meta:ssh")
    return check_nodes(convert_instances(service, {"web1": Instance(**(values | changes))}))


SOURCES: Mapping[str, Callable[[str], object]] = {
    "node's address": of_the_nodes("address"),
    "node's ssh": of_the_nodes("ssh"),
    "node's ssh_user": of_the_nodes("ssh_user"),
    "[ssh] user": lambda text: parse({**raw(), "ssh": {"user": text}}, "f"),
    "socket's host": lambda text: parse({**raw(), "haproxy": {"lb1": {"socket": f"ssh://{text}/s"}}}, "f"),
    "address of HAProxy": lambda text: resolve_nodes({}, [server(address=text)], "f", "k.nodes"),
    "address in Consul's catalog": lambda text: of_an_instance(address=text),
    "ssh in Consul's catalog": lambda text: of_an_instance(meta={"ssh": text}),
    "host in Consul's key": lambda text: runtime_address(
        KeyBalancers(key="k"), text, "key k", "[apps.shop.load_balancers]"
    ),
    "whole address in Consul's key": lambda text: runtime_address(
        KeyBalancers(key="k", schemes=["ssh"]), f"ssh://me@{text}/s", "key k", "[apps.shop.load_balancers]"
    ),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("text", INNER)
def test_no_source_lets_it_in(source: str, text: str) -> None:
    if "a@b" in text and "'s host" in source:
        return  # there it is a user and a host
    if (text == "a/b" and "host" in source) or (text in ("a@b", "a/b") and "whole" in source):
        return  # there it is a host and a path
    with pytest.raises(ConfigError):
        SOURCES[source](text)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("text", ["web1", "10.0.0.1", "Web-1.example.com", "_x"])
def test_every_source_lets_names_in(source: str, text: str) -> None:
    SOURCES[source](text)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("ssh://[fe80::1%eth0]:22/s", SshAddress("", "fe80::1%eth0", 22, "/s")),
        ("ssh://me@[::1]/s", SshAddress("me", "::1", 0, "/s")),
        ("tcp://[fe80::1%Eth0]:9999", TcpAddress("fe80::1%Eth0", 9999)),
    ],
)
def test_zones_and_brackets_go_on_working(text: str, parsed: object) -> None:
    assert parse_address(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "ssh://$(id)@lb1/s",
        "ssh://-x@lb1/s",
        "ssh://-x/s",
        "ssh://a@-x/s",
        "ssh://a\n@lb1/s",
        "ssh://lb1/s\n",
        "ssh://lb1/s\x1b[2J",
        "ssh://lb1/s\u202e",
        "ssh://[v1.x:1]/s",
        "ssh://[v1.x:1 -oProxyCommand=id]/s",
        "ssh://[web1]/s",
        "ssh://[::1/s",
        "ssh://[::1%a b]/s",
        "ssh://[::1%$(id)]/s",
        "ssh://::1/s",
        "ssh://lb1:0/s",
        "ssh://lb1:65536/s",
        "ssh://lb1:-1/s",
        "tcp://$(id):80",
        "tcp://[v1.x:1]:80",
        "tcp://lb1:0",
        f"ssh://lb1/{'s' * 2000}",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|port") as caught:
        parse_address(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    "url",
    ["http://$(id)/s", "http://-x/s", "http://[v1.x:1]/s", "http://h:0/s", "http://h:99999/s", "http:///s"],
)
def test_statistics_pages_are_held_to_the_same(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="stats_url"):
        msgspec.convert({"stats_url": url}, HaproxySettings)


@pytest.mark.parametrize("url", ["http://h/s", "http://10.0.0.1:8404/stats", "https://[::1]:8404/stats;csv"])
def test_statistics_pages_that_are_fine(url: str) -> None:
    assert msgspec.convert({"stats_url": url}, HaproxySettings).stats_url == url


@pytest.mark.parametrize(
    "hop",
    [
        *(Hop(name) for name in HOSTILE),
        Hop("h", "$(id)"),
        Hop("h", "-x"),
        Hop("h", "", 65536),
        Hop("h", "", -1),
    ],
)
def test_a_hop_is_checked_whole(hop: Hop) -> None:
    with pytest.raises(NotInert):
        hop.check()


@pytest.mark.parametrize("text", ["h:\u0663", "h:\u00b2", f"h:{'9' * 5000}", "h:22x", "h: 22"])
def test_a_jump_with_an_odd_port_is_no_host_and_no_traceback(text: str) -> None:
    hop = Hop.parse(text)
    assert hop.port == 0
    assert hop.host == text


@pytest.mark.parametrize("port", [70_000, -1])
def test_ports_that_consul_and_haproxy_make_up(port: int) -> None:
    with pytest.raises(ConfigError, match=rf"^inventory: port of i1: port {port} cannot be used"):
        of_an_instance(port=port)
    with pytest.raises(ConfigError, match=rf"^f: k\.nodes\.web1\.port: port {port} cannot be used"):
        resolve_nodes({}, [server(port=port)], "f", "k.nodes")


URLS = [
    "http://$(id)",
    "http://-x",
    "http://[v1.x:1]",
    "http://[::1",
    "http://h:0",
    "http://h:99999",
    "http://h:x",
]


@pytest.mark.parametrize("url", URLS)
def test_the_address_of_consul_is_held_to_the_same(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="address: found"):
        msgspec.convert({"address": url}, ConsulSettings)


@pytest.mark.parametrize("url", URLS)
def test_hooks_are_held_to_the_same_and_not_shown(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="url: expected http") as caught:
        msgspec.convert({"events": ["start"], "url": f"{url}/secret"}, HookSettings)
    assert "secret" not in str(caught.value)
