"""Commands by equality, and names that are not sent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import RolldeckError
from backends.haproxy import commands
from backends.model import ServerRef

REF = ServerRef("lb1", "shop", "web-1.eu:8080_a")
PATH = "shop/web-1.eu:8080_a"


def test_writes() -> None:
    assert commands.drain(REF) == f"set server {PATH} state drain"
    assert commands.maint(REF) == f"set server {PATH} state maint"
    assert commands.ready(REF) == f"set server {PATH} state ready"
    assert commands.prove(REF) == (f"set server {PATH} state drain; set server {PATH} health down")
    assert commands.agent_off(REF) == f"disable agent {PATH}"
    assert commands.agent_on(REF) == f"enable agent {PATH}"
    assert commands.shutdown_sessions(REF) == f"shutdown sessions server {PATH}"


@pytest.mark.parametrize("value", ["0", "1", "256", "0%", "50%", "100%"])
def test_weights(value: str) -> None:
    assert commands.weight(REF, value) == f"set server {PATH} weight {value}"


@pytest.mark.parametrize(
    "value", ["", "-1", "257", "300", "101%", "300%", "1.5", "50 %", "50;", "\u0665", "1\n"]
)
def test_weights_that_haproxy_refuses_or_takes_in_silence(value: str) -> None:
    with pytest.raises(commands.UnsafeCommand, match="neither 0 to 256 nor"):
        commands.weight(REF, value)


def test_a_snapshot_asks_for_backends_by_name() -> None:
    assert commands.snapshot(["shop", "api"]) == (
        "show info",
        "show cli level",
        "show servers state shop",
        "show stat shop 6 -1",
        "show servers state api",
        "show stat api 6 -1",
    )


@pytest.mark.parametrize("backends", [[], [f"b{number}" for number in range(21)]])
def test_a_snapshot_asks_for_all_when_there_are_none_or_many(backends: list[str]) -> None:
    assert commands.snapshot(backends) == (
        "show info",
        "show cli level",
        "show servers state",
        "show stat -1 6 -1",
    )


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a;b", "a/b", "a\nshutdown", "a\\", "#1", "ä", "a\x00", "<<", "web1 ", "@1", "$x"],
)
def test_unsafe_names_are_not_sent(name: str) -> None:
    for ref in (ServerRef("lb1", name, "web1"), ServerRef("lb1", "shop", name)):
        with pytest.raises(RolldeckError, match="will not be sent"):
            commands.drain(ref)
    with pytest.raises(ValueError, match="will not be sent"):
        commands.snapshot([name])


NAMES = st.text("ab-_.:1 ;/\n", min_size=1, max_size=3) | st.text()


@given(NAMES, NAMES, st.integers(-1, 300).map(str) | st.sampled_from(["5%", "100%", "101%"]) | st.text())
def test_no_value_can_become_a_second_command(backend: str, server: str, value: str) -> None:
    ref = ServerRef("lb1", backend, server)
    try:
        lines = [commands.maint(ref), commands.weight(ref, value)]
    except commands.UnsafeCommand:
        return
    for line in lines:
        assert re.fullmatch(r"set server [^ ;/\n]+/[^ ;/\n]+ (state|weight) [0-9a-z%]+", line)
