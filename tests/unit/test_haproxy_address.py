"""The settings of one instance, and the forms of an address."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.haproxy.address import (
    Address,
    HaproxySettings,
    SshAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/haproxy/admin.sock", UnixAddress("/run/haproxy/admin.sock")),
        ("tcp://10.0.0.1:9999", TcpAddress("10.0.0.1", 9999)),
        ("tcp://[::1]:9999", TcpAddress("::1", 9999)),
        ("ssh://lb1/run/h.sock", SshAddress("", "lb1", 0, "/run/h.sock")),
        ("ssh://ops@Edge-LB:2222/run/h.sock", SshAddress("ops", "Edge-LB", 2222, "/run/h.sock")),
        ("ssh://ops@[fe80::1]/run/h.sock", SshAddress("ops", "fe80::1", 0, "/run/h.sock")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert HaproxySettings(socket=text).address() == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/run/haproxy/admin.sock",
        "unix://run/haproxy/admin.sock",
        "unix://",
        "tcp://10.0.0.1",
        "tcp://:9999",
        "tcp://host:0",
        "tcp://host:99999",
        "tcp://host:1/path",
        "ssh://host",
        "ssh://host/",
        "ssh://ops:secret@host/run/h.sock",
        "http://host:80/",
        "tcp://host:1?x=1",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|port is not"):
        parse_address(text)


PARTS = st.sampled_from(["h", "me@h", ":22", "/s", "[::1]", "?x", "#", "", "é"])


@given(st.sampled_from(["unix://", "tcp://", "SSH://", "http://"]), st.lists(PARTS | st.text(), max_size=3))
def test_any_text_is_an_address_or_a_clear_error(scheme: str, parts: list[str]) -> None:
    try:
        address = parse_address(scheme + "".join(parts))
    except ValueError:
        return
    assert type(address) is {"unix://": UnixAddress, "tcp://": TcpAddress, "SSH://": SshAddress}[scheme]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"socket": "unix:///s", "stats_url": "http://h/stats"}', "exactly one"),
        ("{}", "exactly one"),
        ('{"socket": "/run/x"}', 'expected "unix:///'),
        ('{"stats_url": "h/stats"}', "expected http:// or https://"),
        ('{"stats_url": "http://h/stats", "master": true}', "master: found it beside stats_url"),
        ('{"socket": "unix:///s", "timeout": 0}', "more than 0"),
        ('{"socket": "unix:///s", "concurrency": 11}', "expected 1 to 10"),
        ('{"socket": "unix:///s", "sockets": 1}', "unknown field"),
    ],
)
def test_settings_that_cannot_be_used(text: str, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.json.decode(text, type=HaproxySettings)
