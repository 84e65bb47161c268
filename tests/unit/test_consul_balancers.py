"""What a key in Consul says of load balancers: hosts, or JSON of hosts, and nothing that is neither."""

from typing import cast

import pytest

from backends.consul.balancers import KeyBalancers, find_sockets
from backends.consul.client import Consul, Pair
from backends.errors import ConfigError


class OneKey:
    """A Consul with one key, or none."""

    def __init__(self, value: str | None) -> None:
        self.value = value

    async def get(self, key: str) -> tuple[int, Pair | None]:
        if self.value is None:
            return 1, None
        return 1, Pair(key, self.value.encode(), 1, 0, "")


async def places(value: str | None) -> dict[str, str]:
    found = await find_sockets(
        cast("Consul", OneKey(value)), KeyBalancers(key="lbs", socket="tcp://{host}:9"), "shop"
    )
    return {name: address.removeprefix("tcp://").removesuffix(":9") for name, address in found.items()}


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("lb1", ["lb1"]),
        ("lb1, lb2\n", ["lb1", "lb2"]),
        ('"null"', ["null"]),  # a host of this name, if there is one
        ("null.example.com", ["null.example.com"]),
        ("10.0.0.1", ["10.0.0.1"]),
        ('["lb1","lb2"]', ["lb1", "lb2"]),
        ('{"shop":["lb1"],"api":null}', ["lb1"]),
    ],
)
async def test_hosts(value: str, hosts: list[str]) -> None:
    assert list((await places(value)).values()) == hosts


@pytest.mark.parametrize(
    "value",
    [
        "null",
        " null\n",
        "true",
        "false",
        "5",
        "-1.5",
        '["lb1",null]',
        "[null]",
        '{"shop":null}',
        '{"lb1":null}',
    ],
)
async def test_what_is_json_and_names_no_host_is_none(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await places(value)
    if value.strip().startswith(("[", "{")):
        problem = "has nothing for 'shop' that is a host, a list of hosts, or an object of names and hosts"
    else:
        problem = f"found {value.strip()}, expected a host, a list of hosts, or an object of names and hosts"
    assert problem in str(caught.value)


async def test_a_missing_key_is_an_error_of_the_configuration_that_names_it() -> None:
    with pytest.raises(ConfigError) as caught:
        await places(None)
    assert caught.value.key == "load_balancers.key"
