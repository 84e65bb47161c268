"""What a verdict leaves in the journal: nodes that failed after they were done, and evidence."""

from pathlib import Path

import msgspec
import pytest

from backends.model import AdminState, ServerRef
from orchestrator.events.events import (
    AnyEvent,
    NodeFailed,
    NodeStarted,
    NodeUpgraded,
    Record,
    StepStarted,
)
from orchestrator.events.judgement import Evidence, Measured, ServerMeasured, Verdict, VerdictChanged
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.journal.evidence import last_evidence
from orchestrator.journal.node_history import FleetHistory
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import find_unfinished_originals, unfinished_nodes
from orchestrator.node import OriginalState
from orchestrator.remote.payload import pack, unpack
from orchestrator.remote.takeover import import_rollout
from tests.unit import journals, published

REF = ServerRef("lb1", "shop", "web1")
ORIGINAL = OriginalStateRecord(
    instance="lb1", backend="shop", server="web1", admin="ready", weight=50, agent=False
)
DONE_AND_BAD: list[AnyEvent] = [
    NodeStarted(node="web1", version="2.0", originals=[ORIGINAL]),
    StepStarted(node="web1", step="verify"),
    NodeUpgraded(node="web1", duration_s=1.0, version="2.0"),
    NodeFailed(node="web1", step="verify", error="2.0 fails 18 of 92"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_a_node_that_failed_after_it_was_done_is_unfinished(path: Path) -> None:
    records = journals.numbered(*DONE_AND_BAD)
    journals.write(path, records)
    with Journal(path, read_only=True) as journal:
        left = unfinished_nodes(journal, "shop")["web1"]
        assert "failed at verify: 2.0 fails 18 of 92" in left.text
        assert left.originals == {REF: OriginalState(AdminState.READY, 50, False)}
        assert FleetHistory.read(journal, "shop").failure("web1", "2.0") is not None
    assert find_unfinished_originals(records) == {"web1": left.originals}


def test_a_node_that_was_done_once_more_after_that_is_finished(path: Path) -> None:
    records = journals.numbered(*DONE_AND_BAD, NodeUpgraded(node="web1", duration_s=1.0, version="2.0"))
    journals.write(path, records)
    with Journal(path, read_only=True) as journal:
        assert unfinished_nodes(journal, "shop") == {}
        assert FleetHistory.read(journal, "shop").failure("web1", "2.0") is None
    assert find_unfinished_originals(records) == {}


def measured(requests: int) -> Measured:
    return Measured(duration_s=60, servers=[], evidence=Evidence(sums={"requests": float(requests)}))


def verdict(state: Verdict) -> VerdictChanged:
    return VerdictChanged(version="2.0", state=state)


def known(
    path: Path, *entries: tuple[list[AnyEvent], dict[str, object]], version: str = "2.0"
) -> float | None:
    """Write rollouts to 2.0, and return the requests in the evidence from which the last one is continued."""
    number = 0
    for events, header in entries:
        number = journals.write(path, journals.numbered(*events), version="2.0", **header)
    with Journal(path, read_only=True) as journal:
        found = last_evidence(journal, number, version)
    return found.sums["requests"] if found is not None else None


def test_the_newest_evidence_of_an_interrupted_rollout_goes_on(path: Path) -> None:
    assert known(path, ([measured(10), verdict("good"), measured(20), verdict("good")], {})) == 20


def test_evidence_about_another_version_does_not_go_on(path: Path) -> None:
    assert known(path, ([measured(10)], {}), version="3.0") is None


def test_a_rollout_without_evidence_continues_from_the_one_that_it_resumed(path: Path) -> None:
    assert known(path, ([measured(10)], {}), ([], {"follows": 1})) == 10
    assert known(path, ([measured(10)], {}), ([], {})) is None


@pytest.mark.parametrize(("has_ended", "goes_on"), [(False, True), (True, False)])
def test_a_bad_version_stays_bad_after_a_kill_and_is_judged_anew_after_an_end(
    path: Path, has_ended: bool, goes_on: bool
) -> None:
    events: list[AnyEvent] = [measured(10), verdict("bad"), measured(20)]
    assert (known(path, (events + [journals.ended()] * has_ended, {})) == 20) is goes_on


def test_a_rollout_that_is_taken_over_brings_its_evidence(path: Path) -> None:
    records = published.records()[:50]
    servers = [
        ServerMeasured(balancer="lb1", backend="shop", server="web1", group="new", requests=7, errors=0)
    ]
    event = msgspec.structs.replace(measured(30), servers=servers)
    records.append(Record(records[-1].seq + 1, records[-1].at, event))
    header, received = unpack(pack(published.HEAD, records))
    with Journal(path) as journal:
        assert import_rollout(journal, header, received)
        [entry] = journal.entries("shop")
        found = last_evidence(journal, entry.id, header.version)
    assert found == event.evidence
