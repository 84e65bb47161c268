"""What the journal tells of a node whose turn was interrupted, and of one that was taken out by hand."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.events.events import (
    AnyEvent,
    CommandSending,
    NodeFailed,
    NodePutBack,
    NodeStarted,
    Record,
    RolloutEnded,
    StepStarted,
)
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.journal.entry_status import rollout_status
from orchestrator.journal.manual_changes import read_manual_changes
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import unfinished_nodes
from tests.unit import journals


def test_a_turn_that_an_abort_has_interrupted_is_called_so_as_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.db"
    events = [record.event for record in journals.healthy()]
    begun = events[: next(at for at, event in enumerate(events) if isinstance(event, NodeStarted)) + 1]
    healthy = next(event for event in events if isinstance(event, RolloutEnded))
    ended = replace(healthy, result="aborted", reason="by me", upgraded=[], interrupted=["web1"])
    journals.write(path, journals.numbered(*begun, ended))
    with Journal(path, read_only=True) as journal:
        found = rollout_status(journal, "shop")
    assert found is not None
    assert [node.state for node in found.nodes if node.node == "web1"] == ["interrupted"]


@pytest.mark.parametrize(
    ("admin", "weight", "remembered"), [("maint", 1, True), ("ready", 0, True), ("ready", 1, False)]
)
def test_a_rollout_that_leaves_a_node_out_forgets_nobody(
    tmp_path: Path, admin: str, weight: int, remembered: bool
) -> None:
    path = tmp_path / "state" / "journal.db"
    plan = {"action": "maint", "nodes": ["web1"], "weight": 0}
    with Journal(path) as journal:
        entry = journal.begin(journals.header(kind="change", version="", operator="ann", plan=plan))
        ended = next(r.event for r in journals.healthy() if isinstance(r.event, RolloutEnded))
        journal.end(entry, Record(1, 2.0, ended), "healthy", "")
    state = OriginalStateRecord(
        instance="lb1", backend="shop", server="web1", admin=admin, weight=weight, agent=False
    )
    turn = NodeStarted(node="web1", version="2.0", originals=[state])
    journals.write(path, journals.numbered(journals.started(), turn, began=time.time()))
    with Journal(path, read_only=True) as journal:
        assert ("web1" in read_manual_changes(journal, "shop")) is remembered


@pytest.mark.parametrize("back", [True, False])
def test_a_node_that_was_put_back_is_not_unfinished(tmp_path: Path, back: bool) -> None:
    """It is as it was before; what a human has done to it since must not be taken for ours and undone."""
    path = tmp_path / "state" / "journal.db"
    state = OriginalStateRecord(
        instance="lb1", backend="shop", server="web1", admin="ready", weight=1, agent=False
    )
    events: list[AnyEvent] = [
        journals.started(),
        NodeStarted(node="web1", version="2.0", originals=[state]),
        StepStarted(node="web1", step="drain"),
        CommandSending(node="web1", step="drain", target="lb1", command="set server shop/web1 state drain"),
        NodeFailed(node="web1", step="drain", error="2 sessions remain", touched=True),
        *([NodePutBack(node="web1", step="drain", error="2 sessions remain")] if back else []),
    ]
    journals.write(path, journals.numbered(*events, began=time.time()))
    with Journal(path, read_only=True) as journal:
        assert ("web1" in unfinished_nodes(journal, "shop")) is not back


@pytest.mark.parametrize("begun", ["node", "drain"])
def test_who_has_sent_nothing_hides_nobody_who_has(tmp_path: Path, begun: str) -> None:
    """A second rollout found the node drained by the first, and was broken before it sent anything itself."""
    path = tmp_path / "state" / "journal.db"
    state = OriginalStateRecord(
        instance="lb1", backend="shop", server="web1", admin="ready", weight=50, agent=False
    )
    second: list[AnyEvent] = [journals.started(), NodeStarted(node="web1", version="2.0", originals=[state])]
    if begun == "drain":
        second.append(StepStarted(node="web1", step="drain"))
    sent = CommandSending(node="web1", step="drain", target="lb1", command="set server shop/web1 state drain")
    now = time.time()
    first = [*second[:2], StepStarted(node="web1", step="drain"), sent]
    journals.write(path, journals.numbered(*first, began=now - 60))
    journals.write(path, journals.numbered(*second, began=now))
    with Journal(path, read_only=True) as journal:
        found = unfinished_nodes(journal, "shop")
    assert {node: left.entry.id for node, left in found.items()} == {"web1": 1}
    assert [original.weight for original in found["web1"].originals.values()] == [50]
