"""The versions to choose from: what nodes list, and what the journal knows of each."""

import asyncio
from pathlib import Path

import pytest

from backends.errors import Unreachable
from orchestrator.events.events import NodeFailed, NodeStarted, NodeUpgraded
from orchestrator.journal.store import Journal
from orchestrator.session.version_choices import (
    LIST_TIMEOUT_S,
    VersionChoice,
    list_versions,
    merge,
    read_earlier_versions,
)
from tests.support.fake_fleet import World
from tests.unit import journals

pytestmark = pytest.mark.usefixtures("local_time")


def test_earlier_versions_say_how_they_ended_and_where_they_failed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    def rollout(version: str, *outcomes: object, result: str = "healthy") -> None:
        started = journals.started(version=version, nodes=["web1", "web2"], batches=[["web1"], ["web2"]])
        end = journals.ended(result)  # type: ignore[arg-type]
        journals.write(path, journals.numbered(started, *outcomes, end), version=version)  # type: ignore[arg-type]

    def began(node: str, version: str) -> NodeStarted:
        return NodeStarted(node=node, version=version, originals=[])

    rollout("1.0", began("web1", "1.0"), NodeUpgraded(node="web1", duration_s=1))
    failed = NodeFailed(node="web2", step="verify", error="503")
    rollout("2.0", began("web2", "2.0"), failed, result="degraded")
    journals.write(path, journals.healthy()[:1], kind="change", version="")
    with Journal(path, read_only=True) as journal:
        found = read_earlier_versions(journal, "shop", {"web1": "1.0", "web2": "1.0"})
        assert read_earlier_versions(journal, "pay", {}) == ()
    assert [choice.version for choice in found] == ["2.0", "1.0"]
    assert found[0].remarks == ["failed on web2 in rollout 2"]
    assert found[1].remarks == ["installed on 2", "healthy in rollout 1, 2023-11-14"]


def test_what_can_be_installed_comes_first_and_what_cannot_is_marked() -> None:
    earlier = [VersionChoice("1.4", ended="healthy in rollout 2, x"), VersionChoice("1.3")]
    found = merge(("1.5", "1.4"), earlier)
    assert [(choice.version, choice.is_available) for choice in found.choices] == [
        ("1.5", True),
        ("1.4", True),
        ("1.3", False),
    ]
    assert found.choices[0].remarks == ["can be installed"]
    assert found.choices[1].remarks == ["healthy in rollout 2, x"]
    assert found.choices[2].remarks == ["not listed any more"]
    unknown = merge(None, earlier, "web1 does not answer")
    assert (list(unknown.choices), unknown.problem) == (earlier, "web1 does not answer")
    assert unknown.choices[1].remarks == [], "nobody knows whether it can be installed"


@pytest.mark.virtual_time
async def test_a_few_nodes_are_asked_at_once_and_one_answer_is_enough() -> None:
    world = World(nodes=5)
    world.nodes["web1"].faults.add("versions", Unreachable("web1", "no route"), times=1)
    world.nodes["web2"].versions = ("2.0", "1.0")
    world.nodes["web3"].versions = ("2.1", "2.0")
    world.nodes["web4"].versions = ("9",)  # not asked: it has the same repository
    assert await list_versions(world.application.nodes) == (("2.0", "1.0", "2.1"), "")


@pytest.mark.virtual_time
async def test_why_it_is_not_known_what_can_be_installed() -> None:
    world = World(nodes=2)
    assert await list_versions(world.application.nodes) == (None, "")
    assert await list_versions(()) == (None, "")
    for node in world.nodes.values():
        node.faults.add("versions", Unreachable(node.name, "no route"))
    assert await list_versions(world.application.nodes) == (None, "web1: no route")
    began = asyncio.get_running_loop().time()
    for node in world.nodes.values():
        node.faults.add("versions", None, seconds=3_600)
    words = f"web1 did not answer within {LIST_TIMEOUT_S:g} s"
    assert await list_versions(world.application.nodes) == (None, words)
    assert asyncio.get_running_loop().time() - began < 2 * LIST_TIMEOUT_S
