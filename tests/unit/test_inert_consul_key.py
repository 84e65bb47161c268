"""Addresses of load balancers in a key of Consul: the configuration says where a host may be put."""

from pathlib import Path

import msgspec
import pytest

from backends.consul.balancers import ConsulBalancers, KeyBalancers, runtime_address
from backends.errors import ConfigError
from backends.hosts.ssh_settings import SshSettings
from backends.inventories.files import parse_toml
from console.config.config_file import parse
from console.demo.configuration import render_rolldeck_config

SSH = "ssh://{host}/run/haproxy/admin.sock"


def allowed(host: str, places: ConsulBalancers | None = None) -> str:
    return runtime_address(
        places or KeyBalancers(key="k"), host, "key k in Consul: host of lb1", "[apps.shop.load_balancers]"
    )


def test_a_host_is_put_where_the_configuration_says() -> None:
    assert allowed("lb1") == "ssh://lb1/run/haproxy/admin.sock"
    assert allowed("fe80::1%eth0") == "ssh://[fe80::1%eth0]/run/haproxy/admin.sock"
    assert allowed("::1", KeyBalancers(key="k", socket="tcp://[{host}]:9999")) == "tcp://[::1]:9999"


@pytest.mark.parametrize(
    ("host", "socket"),
    [
        ("ssh://lb1/run/haproxy/admin.sock", SSH),
        ("ssh://[::1]/run/haproxy/admin.sock", SSH),
        ("ssh://me@lb1:22/s", "ssh://me@{host}:22/s"),
        ("tcp://10.0.0.1:9999", "tcp://{host}:9999"),
    ],
)
def test_a_whole_address_that_the_configuration_would_make_is_fine(host: str, socket: str) -> None:
    assert allowed(host, KeyBalancers(key="k", socket=socket)) == host


@pytest.mark.parametrize(
    ("host", "scheme", "socket"),
    [
        ("unix:///var/run/docker.sock", "unix", SSH),
        ("unix:///var/run/docker.sock", "unix", "unix:///run/{host}.sock"),
        ("tcp://169.254.169.254:80", "tcp", SSH),
        ("tcp://169.254.169.254:80", "tcp", "tcp://{host}:9999"),
        ("ssh://lb1/var/run/docker.sock", "ssh", SSH),
        ("ssh://lb1:2222/run/haproxy/admin.sock", "ssh", SSH),
        ("ssh://root@lb1/run/haproxy/admin.sock", "ssh", SSH),
        ("UNIX:///var/run/docker.sock", "unix", SSH),
    ],
)
def test_other_whole_addresses_need_their_scheme_in_the_configuration(
    host: str, scheme: str, socket: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        allowed(host, KeyBalancers(key="k", socket=socket))
    assert str(caught.value) == (
        f"key k in Consul: host of lb1: found {host!r}, a whole address with scheme '{scheme}', expected"
        f' a host for {socket!r}; schemes = ["{scheme}"] in [apps.shop.load_balancers] allows whole addresses'
        " of this kind"
    )
    assert (
        allowed(
            host, msgspec.convert({"kind": "consul-key", "key": "k", "schemes": [scheme]}, ConsulBalancers)
        )
        == host
    )


@pytest.mark.parametrize("socket", ["ssh://lb1/s", "http://{host}/s", "ssh://{host}", "ssh://$(id){host}/s"])
def test_a_socket_that_can_be_none_is_found_when_the_configuration_is_read(socket: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="socket"):
        msgspec.convert({"kind": "consul-key", "key": "k", "socket": socket}, ConsulBalancers)


def test_a_scheme_that_there_is_not() -> None:
    with pytest.raises(msgspec.ValidationError, match="http"):
        msgspec.convert({"kind": "consul-key", "key": "k", "schemes": ["http"]}, ConsulBalancers)


def test_the_user_of_ssh_is_named_when_it_cannot_be_used() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"user: '\$\(id\)' cannot be used"):
        msgspec.convert({"user": "$(id)"}, SshSettings)


@pytest.mark.parametrize("socket", ["unix:///run/h.sock", "tcp://127.0.0.1:9999", "ssh://lb1/run/h.sock"])
def test_the_demo_allows_what_it_writes_there(tmp_path: Path, socket: str) -> None:
    text = render_rolldeck_config(tmp_path, {"lb1": socket}, [], consul="http://127.0.0.1:8500")
    found = parse(parse_toml(text, "f"), "f").app("shop").load_balancers
    assert found is not None
    assert allowed(socket, found) == socket
