"""Which nodes the journal calls unfinished: how far they came, what may still run, and what decided since."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backends.model import AdminState, ServerRef
from orchestrator.events.events import (
    AnyEvent,
    CommandSending,
    CommandStarted,
    ManualChangeFinished,
    NodeFailed,
    NodeRolledBack,
    NodeStarted,
    NodeUpgraded,
    Record,
    StepDone,
    StepStarted,
)
from orchestrator.events.steps import Step
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import (
    UnfinishedNode,
    decided_since,
    find_unfinished_originals,
    known_versions,
    unfinished_nodes,
)
from orchestrator.node import OriginalState
from tests.unit import journals

REF = ServerRef("lb1", "shop", "web1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def begun(weight: int = 50, version: str = "2.0", admin: str = "ready") -> NodeStarted:
    state = OriginalStateRecord(
        instance="lb1", backend="shop", server="web1", admin=admin, weight=weight, agent=False
    )
    return NodeStarted(node="web1", version=version, originals=[state])


def step(name: Step) -> StepStarted:
    return StepStarted(node="web1", step=name)


def done(name: Step) -> StepDone:
    return StepDone(node="web1", step=name, changed=True, detail="", duration_s=1.0)


def command(name: Step, pid: int = 7) -> CommandStarted:
    return CommandStarted(node="web1", step=name, target="web1", pid=pid, started=1)


def failed(name: Step, *, touched: bool = True) -> NodeFailed:
    return NodeFailed(node="web1", step=name, error=f"{name} failed", touched=touched)


SENDING = CommandSending(node="web1", step="drain", target="lb1", command="set server shop/web1 state drain")
DRAINED = (step("drain"), SENDING, done("drain"))


def write(path: Path, *events: AnyEvent, began: float | None = None, **header: Any) -> int:
    at = time.time() if began is None else began
    return journals.write(path, journals.numbered(journals.started(), *events, began=at), **header)


def change(path: Path, result: str, **plan: Any) -> None:
    """Write a manual change of web1 that has ended."""
    with Journal(path) as journal:
        plan = {"action": "maint", "nodes": ["web1"], "weight": 0, **plan}
        entry = journal.begin(journals.header(kind="change", version="", plan=plan, began=time.time()))
        event = ManualChangeFinished(nodes=["web1"], servers=[], error="")
        journal.end(entry, Record(1, time.time(), event), result, "")


def unfinished(path: Path) -> dict[str, UnfinishedNode]:
    with Journal(path, read_only=True) as journal:
        return unfinished_nodes(journal, "shop")


@pytest.mark.parametrize(
    ("events", "running"),
    [
        ((step("stop"), command("stop")), True),
        ((step("stop"), command("stop"), done("stop")), False),
        ((step("stop"), command("stop"), done("stop"), step("install"), command("install", 8)), True),
        ((step("stop"), command("stop"), failed("stop")), True),  # it may run to its end all the same
    ],
)
def test_only_a_command_of_a_step_that_has_not_ended_may_still_run(
    path: Path, events: Sequence[AnyEvent], running: bool
) -> None:
    write(path, begun(), *DRAINED, *events)
    found = unfinished(path)["web1"]
    last = [event for event in events if isinstance(event, CommandStarted)][-1]
    assert found.command == (last if running else None)


def test_it_is_described_by_its_last_step_and_why_that_failed(path: Path) -> None:
    write(path, begun(), *DRAINED, step("stop"), failed("stop"))
    found = unfinished(path)["web1"]
    assert (found.step, found.failed, found.target_version) == ("stop", "stop failed", "2.0")
    assert found.text.endswith("failed at stop: stop failed")
    write(path, begun(), *DRAINED, step("stop"), failed("stop"), step("stop"))
    again = unfinished(path)["web1"]
    assert (again.failed, again.text.endswith("interrupted at stop")) == ("", True), "a retry was begun"


def test_a_retry_keeps_the_original_state_of_the_first_try(path: Path) -> None:
    write(path, begun(50), *DRAINED, failed("stop"), begun(0, admin="maint"), step("drain"))
    assert unfinished(path)["web1"].originals == {REF: OriginalState(AdminState.READY, 50, False)}


def test_a_way_back_that_was_interrupted_has_the_version_that_was_decided_on(path: Path) -> None:
    write(path, begun(50), *DRAINED, failed("start"), begun(0, "1.0", "maint"), step("drain"), step("start"))
    found = unfinished(path)["web1"]
    assert (found.target_version, found.step, found.failed) == ("1.0", "start", "")
    assert found.originals == {REF: OriginalState(AdminState.READY, 50, False)}
    over = NodeRolledBack(node="web1", duration_s=1.0, version="1.0")
    write(path, begun(50), *DRAINED, failed("start"), begun(0, "1.0", "maint"), over)
    assert unfinished(path) == {}
    with Journal(path, read_only=True) as journal:
        assert known_versions(journal, "shop")["web1"].version == "1.0"


@pytest.mark.parametrize("end", [NodeUpgraded, NodeRolledBack])
def test_an_update_after_one_that_is_done_has_its_own_original_state(
    path: Path, end: type[NodeUpgraded] | type[NodeRolledBack]
) -> None:
    over = end(node="web1", duration_s=1.0)
    write(path, begun(50), *DRAINED, over)
    assert unfinished(path) == {}
    write(path, begun(50), *DRAINED, over, begun(20), step("drain"), SENDING)
    assert unfinished(path)["web1"].originals == {REF: OriginalState(AdminState.READY, 20, False)}


def test_a_node_to_which_nothing_was_sent_is_left_to_whoever_took_it_out(path: Path) -> None:
    write(path, begun(), step("drain"))
    assert unfinished(path) == {}
    write(path, begun(), step("drain"), SENDING)
    assert list(unfinished(path)) == ["web1"]


def test_what_was_sent_for_another_node_is_nothing_of_this_one(path: Path) -> None:
    other = CommandSending(
        node="web2", step="drain", target="lb1", command="set server shop/web2 state drain"
    )
    write(path, begun(), step("drain"), other)
    assert unfinished(path) == {}


@pytest.mark.parametrize(
    "header",
    [{"host": "another-machine"}, {"host": socket.gethostname(), "plan": {**journals.PLAN, "fence": 7}}],
    ids=["of another machine", "taken over"],
)
def test_commands_of_a_rollout_that_was_taken_over_are_not_known_here(
    path: Path, header: dict[str, Any]
) -> None:
    """Nothing in this journal says that nothing was sent: the node may be drained by us."""
    write(path, begun(), step("drain"), **header)
    assert list(unfinished(path)) == ["web1"]


def test_a_step_after_the_drain_is_never_nothing(path: Path) -> None:
    write(path, begun(), step("stop"))
    assert list(unfinished(path)) == ["web1"]


def test_a_node_that_was_held_before_it_was_touched_is_finished(path: Path) -> None:
    write(path, begun(), step("drain"), SENDING, failed("drain", touched=False))
    assert unfinished(path) == {}
    write(path, begun(), *DRAINED, step("stop"), failed("stop", touched=False))
    assert list(unfinished(path)) == ["web1"], "its service may be stopped"


@pytest.mark.parametrize(
    ("result", "plan", "weight"),
    [
        ("healthy", {}, None),
        ("healthy", {"action": "ready"}, None),
        ("failed", {}, 50),
        ("healthy", {"nodes": ["web2"]}, 50),
        ("healthy", {"action": "weight", "weight": 7}, 7),
        ("failed", {"action": "weight", "weight": 7}, 50),
        ("healthy", {"action": "weight", "weight": 7, "nodes": ["web2"]}, 50),
        ("healthy", {"nodes": "none"}, 50),
    ],
)
def test_what_a_manual_change_since_then_decides(
    path: Path, result: str, plan: dict[str, Any], weight: int | None
) -> None:
    """One that has failed counts for nothing; of a weight only the weight, which is then the original one."""
    write(path, begun(50), *DRAINED)
    change(path, result, **plan)
    found = unfinished(path)
    assert {name: left.originals[REF].weight for name, left in found.items()} == (
        {} if weight is None else {"web1": weight}
    )


def test_the_newest_weight_counts(path: Path) -> None:
    write(path, begun(50), *DRAINED)
    change(path, "healthy", action="weight", weight=7)
    change(path, "healthy", action="weight", weight=9)
    assert unfinished(path)["web1"].originals[REF].weight == 9


def test_what_was_decided_before_the_rollout_does_not_count(path: Path) -> None:
    change(path, "healthy")
    write(path, begun(50), *DRAINED)
    assert list(unfinished(path)) == ["web1"]


def test_the_newest_rollout_decides(path: Path) -> None:
    write(path, begun(50), *DRAINED)
    write(path, begun(0, "3.0", "maint"), *DRAINED, NodeUpgraded(node="web1", duration_s=1.0))
    assert unfinished(path) == {}


def test_which_nodes_were_decided_on_since(path: Path) -> None:
    now = time.time()
    write(path, begun(), began=now - 100)
    change(path, "healthy", nodes=["web2"])
    change(path, "failed", nodes=["web3"])
    change(path, "healthy", nodes=["web4"], action="weight")
    with Journal(path, read_only=True) as journal:
        assert decided_since(journal, "shop", now - 200) == {"web1", "web2"}
        assert decided_since(journal, "shop", now - 50) == {"web2"}
        assert decided_since(journal, "shop", time.time() + 50) == set()
        assert decided_since(journal, "other", 0) == set()


def test_original_states_are_those_of_updates_that_are_not_complete() -> None:
    def found(*events: AnyEvent) -> dict[str, int]:
        left = find_unfinished_originals(journals.numbered(*events))
        return {name: originals[REF].weight for name, originals in left.items()}

    over = NodeUpgraded(node="web1", duration_s=1.0)
    assert found(begun(50), begun(0)) == {"web1": 50}
    assert found(begun(50), over) == {}
    assert found(begun(50), over, begun(20)) == {"web1": 20}


def test_the_version_of_a_node_between_two_is_not_known(path: Path) -> None:
    def version() -> str:
        with Journal(path, read_only=True) as journal:
            return known_versions(journal, "shop")["web1"].version

    write(path, begun(), *DRAINED)
    assert version() == "1.0"
    write(path, begun(), *DRAINED, step("stop"), done("stop"))
    assert version() == ""
    write(path, begun(), *DRAINED, done("stop"), done("install"))
    assert version() == "2.0"
    write(path, begun(version="3.0"), *DRAINED, NodeRolledBack(node="web1", duration_s=1.0))
    assert version() == "3.0"
