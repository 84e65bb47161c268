"""The endpoint of an unfinished node that Consul no longer has, from the journal, which may be forged."""

from dataclasses import replace

import pytest

from orchestrator.inventory.inventory import read_endpoint
from orchestrator.inventory.source import NodeSettings
from orchestrator.journal.entries import Entry
from orchestrator.journal.unfinished import UnfinishedNode

ENTRY = Entry(
    id=1,
    kind="upgrade",
    application="shop",
    version="2",
    operator="eve",
    host="h",
    pid=1,
    began=0.0,
    ended=None,
    result="",
    reason="",
    plan={},
    follows=None,
    intact=True,
)
PLACE = {"address": "10.0.0.1", "port": 80, "ssh": "web1"}


def left(place: object) -> UnfinishedNode:
    entry = replace(ENTRY, plan={"places": {"web1": place}})
    return UnfinishedNode("web1", entry, "2", None, "", {}, None)


def test_it_is_where_its_plan_knew_it() -> None:
    assert read_endpoint(left(PLACE)) == NodeSettings(address="10.0.0.1", port=80, ssh="web1")


@pytest.mark.parametrize(
    "place",
    [
        {**PLACE, "transport": "local", "prefix": "sh -c 'touch /tmp/it' --"},
        {**PLACE, "sudo": True},
        {**PLACE, "address": "-oProxyCommand=it"},
        {**PLACE, "ssh": "$(it)"},
        {**PLACE, "port": 70_000},
        {"address": "10.0.0.1"},
        None,
        "web1",
    ],
)
def test_nothing_of_how_commands_reach_it_is_taken_from_there(place: object) -> None:
    assert read_endpoint(left(place)) == NodeSettings()
