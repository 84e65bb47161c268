"""What Consul says of a service's instances, as it is decoded; and what is no such answer."""

import json
from typing import Any

import pytest

from backends.consul.answers import decode_entries
from backends.consul.catalog import instance
from backends.errors import UnreadableReply


def entry(**changes: Any) -> dict[str, Any]:
    """As Consul has it, with fields of which nothing is read."""
    return {
        "Node": {
            "ID": "",
            "Node": "web1",
            "Address": "10.0.0.1",
            "Meta": {"rack": "7", "zone": "of the node"},
        },
        "Service": {"ID": "shop-1", "Tags": [], "Address": "", "Port": 8080, "Meta": {"zone": "a"}},
        "Checks": [check("alive", "passing")],
        **changes,
    }


def check(identity: str, status: str) -> dict[str, Any]:
    return {"CheckID": identity, "Status": status, "Output": "all is well"}


def read(*entries: Any) -> list[Any]:
    return [
        instance(found) for found in decode_entries(json.dumps(entries).encode(), "health of service shop")
    ]


def test_an_instance_is_where_its_node_is_and_its_own_meta_come_last() -> None:
    [found] = read(entry())
    assert (found.identity, found.node, found.address, found.port) == ("shop-1", "web1", "10.0.0.1", 8080)
    assert found.meta == {"rack": "7", "zone": "a"}
    assert [found.name_by(by) for by in ("id", "node", "meta:zone", "meta:none")] == [
        "shop-1",
        "web1",
        "a",
        "",
    ]


def test_an_address_of_its_own_counts_and_no_meta_is_none() -> None:
    node = {"Node": "web1", "Address": "10.0.0.1", "Meta": None}
    service = {"ID": "shop-1", "Address": "10.9.9.9", "Port": 1, "Meta": None}
    [found] = read(entry(Node=node, Service=service))
    assert (found.address, found.meta) == ("10.9.9.9", {})


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([], "passing"),
        ([("a", "passing"), ("b", "warning"), ("c", "passing")], "warning"),
        ([("a", "warning"), ("b", "critical"), ("c", "warning")], "critical"),
        ([("a", "critical"), ("_node_maintenance", "critical")], "maintenance"),
        ([("_service_maintenance:shop-1", "critical")], "maintenance"),
    ],
)
def test_the_worst_of_its_checks_is_its_status(checks: list[tuple[str, str]], expected: str) -> None:
    [found] = read(entry(Checks=[check(*arguments) for arguments in checks]))
    assert found.status == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "JSON is malformed"),
        (b'[{"Node": ', "truncated"),
        (b"null", "Expected `array`, got `null`"),
        (b"{}", "Expected `array`, got `object`"),
        (json.dumps([entry(), entry(Checks=None)]).encode(), r"got `null` - at `\$\[1\].Checks`"),
        (json.dumps([entry(Service={"ID": "a", "Address": ""})]).encode(), r"`Port` - at `\$\[0\].Service`"),
        (json.dumps([entry(Checks=[check("a", "great")])]).encode(), r"'great' - at .*Checks\[0\].Status"),
        (b'[{"Node": {"Node": "\xff"}}]', "UTF-8"),
    ],
)
def test_what_is_no_such_answer_is_called_that(body: bytes, words: str) -> None:
    with pytest.raises(
        UnreadableReply, match=f"^consul: health of service shop: the answer is not .*{words}"
    ):
        decode_entries(body, "health of service shop")
