"""What the journal says about one node: each rollout as it ended for that node."""

from pathlib import Path

import pytest

from orchestrator.events import events
from orchestrator.events.events import AnyEvent, Record
from orchestrator.journal.node_entries import read_node_entries
from orchestrator.journal.store import Journal
from tests.unit import journals

STARTED = events.NodeStarted(node="web1", version="1.5.0", originals=[])
PLAN = {"batches": [["web1", "web2"]]}


def read(path: Path, *recorded: AnyEvent) -> tuple[str, bool, str]:
    """How a rollout of web1 and web2 with these events ended for web1."""
    with Journal(path) as journal:
        entry = journal.begin(journals.header(plan=PLAN))
        for seq, event in enumerate(recorded, 1):
            journal.append(entry, Record(seq, 1000.0 + seq, event))
        [found] = read_node_entries(journal, "shop", "web1")
        assert read_node_entries(journal, "shop", "web9") == []
        return found.result, found.is_bad, found.error


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (events.NodeUpgraded(node="web1", version="1.5.0", duration_s=3), ("upgraded", False, "")),
        (events.NodeSkipped(node="web1", who="ann"), ("skipped", False, "")),
        (
            events.NodeFailed(node="web1", step="verify", error="503"),
            ("failed", True, "verify: 503"),
        ),
        (
            events.NodePutBack(node="web1", step="drain", error="too few"),
            ("put back", True, "too few"),
        ),
        (events.NodeUpgraded(node="web2", version="1.5.0", duration_s=3), ("interrupted", True, "")),
    ],
)
def test_how_a_rollout_ended_for_a_node(
    tmp_path: Path, last: AnyEvent, expected: tuple[str, bool, str]
) -> None:
    assert read(tmp_path / "journal.db", STARTED, last) == expected


def test_a_node_that_was_not_begun(tmp_path: Path) -> None:
    other = events.NodeStarted(node="web2", version="1.5.0", originals=[])
    assert read(tmp_path / "journal.db", other) == ("not begun", False, "")
