"""A rollout that runs or was left, from its events alone; and what `status` makes of it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pytest

from backends.errors import Unreachable
from backends.model import Info, Level, Snapshot
from console.config.config_file import load
from console.terminal.status import status_fields, status_lines
from orchestrator.adapters import AdapterFactory
from orchestrator.events import events
from orchestrator.events.base import Event
from orchestrator.events.events import (
    DecisionRequested,
    NodeFailed,
    NodeStarted,
    NodeUpgraded,
    Record,
    RolloutEnded,
)
from orchestrator.journal.entry_status import RolloutStatus, rollout_status
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import known_versions, unfinished_nodes
from orchestrator.live.versions import (
    DISK_TIMEOUT_S,
    DiskVersions,
    NodeVersion,
    compare_with_disk,
    name_as_reported,
)
from orchestrator.node import Node
from orchestrator.session.kept_out import KeptOut
from orchestrator.session.status import ApplicationStatus, SharedJournal, StatusReader
from tests.support.console_values import HOSTILE, TOML, harmless, server, write
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World
from tests.unit import journals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def read(path: Path) -> RolloutStatus | None:
    with Journal(path, read_only=True) as journal:
        return rollout_status(journal, "shop")


def until(records: Sequence[Record], kind: type[Event]) -> list[Record]:
    """Up to the first event of this kind."""
    end = next(index for index, record in enumerate(records) if isinstance(record.event, kind))
    return list(records[: end + 1])


def lines(status: ApplicationStatus) -> list[str]:
    return [click.unstyle(line) for line in status_lines("shop", status)]


def test_one_that_has_ended_well_is_nothing(path: Path) -> None:
    journals.write(path, journals.healthy())
    assert read(path) is None


def test_a_running_one_is_told_with_its_open_question(path: Path) -> None:
    """It is this very process that has begun it."""
    now = time.time()
    asked = [
        Record(record.seq, now, record.event) for record in until(journals.troubled(), DecisionRequested)
    ]
    journals.write(path, asked)
    found = read(path)
    assert found is not None
    assert (found.standing, found.ways_on, found.touched) == ("running", (), True)
    [question] = found.questions
    told = lines(ApplicationStatus(rollouts=[found]))
    assert told[0].startswith("◐ upgrade 1 to 2.0 runs: me@here (process ")
    assert [line for line in told if line.startswith("  at web2: failed: ")]
    choices = ", ".join(question.choices)
    assert f"  ? web2: {question.text} ({choices})" in told
    [fields] = status_fields("shop", ApplicationStatus(rollouts=[found]))
    assert (fields["kind"], fields["standing"], fields["what"]) == ("rollout", "running", "upgrade")


def test_one_that_was_killed_is_not_finished(path: Path) -> None:
    journals.write(
        path, until(journals.healthy(), NodeStarted) + list(journals.healthy()[5:12]), pid=2**22 + 7
    )
    found = read(path)
    assert found is not None
    assert (found.standing, found.why) == ("unfinished", "interrupted")
    assert [way.purpose for way in found.ways_on] == ["resume", "rollback"]
    assert ApplicationStatus(rollouts=[found]).unfinished


def test_one_that_has_touched_nothing_leaves_nothing_to_finish(path: Path) -> None:
    journals.write(path, until(journals.healthy(), events.BatchStarted), pid=2**22 + 7)
    found = read(path)
    assert found is not None
    assert (found.touched, found.ways_on) == (False, ())
    assert not ApplicationStatus(rollouts=[found]).unfinished


def test_how_it_ended_and_what_is_missing(path: Path) -> None:
    journals.write(path, journals.troubled())
    found = read(path)
    assert found is not None
    ended = next(r.event for r in journals.troubled() if isinstance(r.event, RolloutEnded))
    assert found.ways_on == tuple(ended.ways_on)
    told = lines(ApplicationStatus(rollouts=[found]))
    assert told[0] == f"! upgrade 1 to 2.0 was not finished: {ended.reason}"
    assert any("nodes done; " in line for line in told)


def test_a_turn_that_was_held_leaves_nothing_behind(path: Path) -> None:
    """What is out now is somebody else's decision; killed in the middle, too."""
    turn = until(journals.healthy(), events.StepStarted)
    journals.write(path, turn, pid=2**22 + 7)
    with Journal(path, read_only=True) as journal:
        assert unfinished_nodes(journal, "shop") == {}
    last = turn[-1]
    failed = NodeFailed(node="web1", step="drain", error="capacity", touched=False)
    held = [*turn, Record(last.seq + 1, last.at, failed)]
    journals.write(path, held, host="another")
    with Journal(path, read_only=True) as journal:
        assert unfinished_nodes(journal, "shop") == {}


def test_versions_that_the_journal_knows(path: Path) -> None:
    journals.write(path, journals.healthy())
    with Journal(path, read_only=True) as journal:
        assert {
            node: known.version for node, known in known_versions(journal, "shop").items()
        } == dict.fromkeys(("web1", "web2", "web3"), "2.0")
    journals.write(path, until(journals.healthy(), events.StepDone))
    with Journal(path, read_only=True) as journal:
        assert known_versions(journal, "shop")["web1"].version == "1.0", "it had that before, and was drained"


def test_a_mixed_fleet_has_the_source_of_each_version() -> None:
    status = ApplicationStatus(
        versions=[NodeVersion("a", "2", "health"), NodeVersion("b", "1", "journal", 5.0)]
    )
    assert lines(status) == ["mixed versions: 1 on b; 2 on a (b as the journal has it)"]
    status = ApplicationStatus(
        versions=[
            NodeVersion("a", "2", "health", on_disk="3", differs=True),
            NodeVersion("b", "2", "journal", 5.0, "3", differs=True),
            NodeVersion("c", "2", "disk", on_disk="2"),
            NodeVersion("d", "2", "health", on_disk="3", differs=True),
        ]
    )
    assert lines(status) == [
        "version 2 on 4 nodes (b as the journal has it; c on disk)",
        "! a, d: 2 runs, 3 on disk",
        "! b: 2 by the journal, 3 on disk",
    ]
    fields = [*status_fields("shop", status)]
    assert [(node["on_disk"], node["differs"]) for node in fields] == [
        ("3", True),
        ("3", True),
        ("2", False),
        ("3", True),
    ]


def test_servers_that_are_kept_out_alike_are_one_line() -> None:
    kept = [
        KeptOut("shop", f"web{number}", "others", "", "", 0.0, ("lb1: maint", "lb2: drain"))
        for number in (*range(1, 41), 50)
    ]
    status = ApplicationStatus(kept_out=[*kept, KeptOut("api", "a1", "haproxy", "", "odd", 0.0, ("lb1",))])
    assert lines(status) == [
        "  web[1-40], web50 (shop) are kept out by somebody else, untouched: lb1: maint, lb2: drain",
        "  a1 (api) is kept out by HAProxy: odd: lb1",
    ]
    assert len([*status_fields("shop", status)]) == 42


@pytest.mark.virtual_time
async def test_a_version_may_be_called_otherwise_on_disk() -> None:
    node = replace(World(nodes=1).application.nodes[0], version_regex="^([^-]+)")
    for known, installed, differs, shown in (
        (NodeVersion("web1", "1.5.0", "health"), "1.5.0-1", False, "1.5.0"),
        (NodeVersion("web1", "1.5.0", "health"), "1.6.0-1", True, "1.5.0"),
        (NodeVersion("web1", "1.5.0", "journal", 5.0), "1.5.0-1", True, "1.5.0"),
        (NodeVersion("web1", "1.5.0-1", "journal", 5.0), "1.5.0-1", False, "1.5.0"),
        (NodeVersion("web1", "1.5.0-1", "journal", 5.0), "1.5.0-2", True, "1.5.0-1"),
        (None, "1.5.0-1", False, "1.5.0"),
    ):
        found = compare_with_disk(node, known, installed)
        assert found.differs is differs, known
        assert name_as_reported(found, node.version_regex).version == shown, known


@pytest.mark.virtual_time
async def test_nodes_that_do_not_answer_are_waited_for_once() -> None:
    world = World(nodes=2)
    nodes, disks = world.application.nodes, DiskVersions()
    for fake in world.nodes.values():
        fake.faults.always["connect"] = Fault(None, seconds=3600)
    start = world.clock.monotonic()
    assert await disks.read(nodes) == {}
    assert await disks.read(nodes) == {}
    assert world.clock.monotonic() - start == pytest.approx(DISK_TIMEOUT_S, abs=0.1)
    world.nodes["web1"].faults.always.clear()
    assert await DiskVersions().read(nodes) == {"web1": "1.0"}, "what has answered counts"


@pytest.mark.virtual_time
async def test_a_node_that_refuses_hides_no_other() -> None:
    world = World(nodes=2)
    world.nodes["web1"].faults.always["installed"] = Fault(Unreachable("web1", "gone"))
    assert await DiskVersions().read(world.application.nodes) == {"web2": "1.0"}


@pytest.mark.virtual_time
async def test_one_line_logs_in_only_where_nothing_else_says_a_version(tmp_path: Path) -> None:
    names, world = ("web1", "web2", "web3"), World(nodes=3)
    world.nodes["web2"].version_shown = world.nodes["web3"].version_shown = False
    known = Record(1, 1.0, NodeUpgraded(node="web2", version="0.9", duration_s=1.0))
    journals.write(tmp_path / "journal.db", [known])
    nodes = "".join(f'{name} = {{ address = "10.0.0.1", port = 80 }}\n' for name in names)
    health = 'kind = "http"\nurl = "http://{address}:{port}/"\nversion_json = "version"\n'
    config = load(write(tmp_path, f"{TOML}[apps.shop.health]\n{health}[apps.shop.nodes]\n{nodes}"))
    asked: list[list[str]] = []

    class Disks(DiskVersions):
        async def read(self, nodes: Sequence[Node]) -> dict[str, str]:
            asked.append([node.name for node in nodes])
            return await super().read(nodes)

    class Adapters(AdapterFactory):
        async def nodes(self, *_: object) -> list[Node]:
            return list(world.application.nodes)

    adapters = Adapters(config.ssh, lambda _: None, config.file)
    journal = SharedJournal(tmp_path / "journal.db", check=False)
    reader = StatusReader(config, "shop", journal, None, adapters, [], Disks())
    servers = tuple(map(server, names))
    seen = {"lb1": Snapshot(Info("lb1", "2.6", 1, 1, False), Level.ADMIN, (), servers)}
    found = await reader.read_briefly(seen)
    versions = [(version.node, version.version, version.source) for version in found.versions]
    assert versions == [("web1", "1.0", "health"), ("web2", "0.9", "journal"), ("web3", "1.0", "disk")]
    assert [nodes for nodes in asked if nodes] == [["web3"]]
    await reader.read(seen)
    assert asked[-1] == list(names)
    journal.close()


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_that_was_said_can_control_a_terminal(said: str) -> None:
    kept = KeptOut(said, said, "hand", said, said, 5.0, (said,))
    status = ApplicationStatus(versions=[NodeVersion(said, said, "journal", 5.0)], kept_out=[kept])
    assert all(harmless(line) for line in lines(status))
