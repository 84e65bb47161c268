"""The timeline of an entry: steps with their times, waits, pauses; whole, cut off anywhere, or with gaps."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from backends.local_processes import identify_process
from orchestrator.events.events import (
    BatchStarted,
    CommandFinished,
    CommandSending,
    ManualChangeFinished,
    ManualChangeStarted,
    NodeUpgraded,
    Record,
    StepDone,
    StepStarted,
    Traffic,
    Waiting,
)
from orchestrator.events.state import RolloutState
from orchestrator.events.timeline import Timeline, find_unanswered
from orchestrator.journal.entries import Entry
from orchestrator.journal.entry_status import entry_status
from orchestrator.journal.store import Journal
from tests.unit import journals


def spans(timeline: Timeline, node: str) -> list[tuple[str, str]]:
    return [(span.step, span.result) for span in timeline.spans if span.node == node]


def test_every_try_of_every_step() -> None:
    timeline = Timeline.of(journals.troubled())
    once = ["drain", "stop", "install", "start", "verify"]
    assert spans(timeline, "web1") == [(step, "done") for step in once]
    first = [(step, "done") for step in once[:4]] + [("verify", "failed")]
    again = [
        ("drain", "same"),
        ("stop", "done"),
        ("install", "same"),
        ("start", "done"),
        ("verify", "failed"),
    ]
    assert spans(timeline, "web2") == first + again
    assert spans(timeline, "web3") == []
    assert timeline.nodes == ["web1", "web2", "web3"]
    assert [timeline.node_result(name) for name in timeline.nodes] == ["upgraded", "failed", "pending"]


def test_times_are_without_pauses() -> None:
    timeline = Timeline.of(journals.troubled())
    assert [(round(pause.ended or 0) - round(pause.began)) for pause in timeline.pauses] == [20]
    assert timeline.paused == pytest.approx(20)
    drain = next(span for span in timeline.spans if (span.node, span.step) == ("web1", "drain"))
    assert drain.seconds == pytest.approx(5, abs=0.1)  # nine went by, and four of them were paused
    [wait] = drain.waits.values()
    assert (wait.first, wait.last) == ("sessions: 3 on lb1, 3 on lb2", "sessions: 1 on lb1, 1 on lb2")
    assert wait.seconds == pytest.approx(drain.seconds, abs=0.1)
    failed = next(span for span in timeline.spans if span.result == "failed")
    assert failed.seconds == pytest.approx(20, abs=0.1)
    assert (failed.waited, failed.detail.startswith("healthy: not within 20 s")) == (0, True)


def test_what_was_work_and_what_was_waiting() -> None:
    """The same as the board says from the same events."""
    timeline, state = Timeline.of(journals.healthy()), RolloutState.of(journals.healthy())
    spent = [node.times for node in state.nodes.values() if node.times is not None]
    assert len(spent) == 3
    assert timeline.times.working == pytest.approx(sum(times.working for times in spent))
    assert timeline.times.waiting == pytest.approx(sum(times.waiting for times in spent))
    assert timeline.times.waiting > 15  # three bakes of 5 seconds, and the sessions of one
    each_step = (timeline.duration_of(step) for step in ("drain", "stop", "install", "start", "verify"))
    assert sum(each_step) == pytest.approx(timeline.times.working + timeline.times.waiting)


@pytest.mark.parametrize("read", [journals.healthy, journals.troubled], ids=["healthy", "troubled"])
def test_cut_off_anywhere_it_is_told_as_far_as_it_goes(read: Callable[[], Sequence[Record]]) -> None:
    records = read()
    for end in range(len(records) + 1):
        timeline = Timeline.of(records[:end])
        assert timeline.missing == 0
        assert all(span.seconds >= span.waited >= 0 for span in timeline.spans)
        open_now = [span.node for span in timeline.spans if span.result == "open"]
        assert len(open_now) == len(set(open_now))
    assert open_now == []


@pytest.mark.parametrize("gone", range(0, 60, 3))
def test_with_a_gap_it_says_so(gone: int) -> None:
    timeline = Timeline.of([*journals.troubled()[: gone + 1], *journals.troubled()[gone + 4 :]])
    assert timeline.missing == 3
    assert timeline.state.ended is not None


def test_ready_by_hand_has_waits_but_no_steps() -> None:
    records = journals.numbered(
        ManualChangeStarted(action="ready", nodes=["web1"], weight=0, override=[], operator="ann"),
        Waiting(node="web1", step="verify", reason="own health: 0/3", remaining_s=9),
        Waiting(node="web1", step="verify", reason="own health: 2/3", remaining_s=8),
        ManualChangeFinished(nodes=["web1"], servers=[], error="not in time"),
    )
    [span] = Timeline.of(records).spans
    assert (span.step, span.result, span.seconds, span.detail) == ("verify", "failed", 2.0, "not in time")
    assert [(wait.last, wait.seconds) for wait in span.waits.values()] == [("own health: 2/3", 2.0)]


def test_what_was_served_meanwhile() -> None:
    traffic = Timeline.of(journals.with_traffic(journals.healthy(), errors=2)).traffic
    assert traffic is not None
    assert (traffic.served, traffic.errors_5xx) == (120_345, 2)
    before = [record for record in journals.healthy() if not isinstance(record.event, Traffic)]
    assert Timeline.of(before).traffic is None


def test_a_command_without_a_reply() -> None:
    def sending(command: str) -> CommandSending:
        return CommandSending(node="web1", step="drain", target="lb1", command=command)

    def sent(command: str) -> CommandFinished:
        return CommandFinished(
            node="web1", step="drain", target="lb1", command=command, reply="", ok=True, duration_s=0
        )

    records = journals.numbered(sending("a"), sending("a"), sent("a"), sending("b"), sent("b"), sent("c"))
    assert find_unanswered(records) == {2}
    assert find_unanswered(journals.troubled()) == set()


def test_an_upgrade_after_a_retry_counts_once() -> None:
    records = journals.numbered(
        journals.started(),
        BatchStarted(number=1, nodes=["web1"]),
        StepStarted(node="web1", step="stop"),
        StepStarted(node="web1", step="stop"),  # nothing is told of the end of the first one
        StepDone(node="web1", step="stop", changed=True, detail="", duration_s=1),
        NodeUpgraded(node="web1", duration_s=1),
    )
    assert spans(Timeline.of(records), "web1") == [("stop", "interrupted"), ("stop", "done")]


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """Without an end, of this process."""
    path = tmp_path / "journal.db"
    number = journals.write(path, [])
    with Journal(path) as journal:
        found = journal.entry(number)
    assert found is not None
    return replace(found, began=4e9)  # this process was there before


def test_whether_it_still_runs(entry: Entry) -> None:
    assert entry_status(entry) == "running"
    assert entry_status(replace(entry, pid=1)) == "running"
    assert entry_status(replace(entry, pid=2**22 + 1)) == "interrupted"
    assert entry_status(replace(entry, pid=0)) == "interrupted"
    assert entry_status(replace(entry, pid=2**70)) == "interrupted"
    assert entry_status(replace(entry, host=f"not-{socket.gethostname()}")) == "no end"
    assert entry_status(replace(entry, ended=1.0, result="degraded")) == "degraded"


def test_a_younger_process_with_its_number_is_another_one(entry: Entry) -> None:
    assert os.path.exists("/proc/self/stat")
    assert entry_status(replace(entry, began=1_000_000.0)) == "interrupted"


def test_the_clock_may_be_set_while_it_runs(entry: Entry) -> None:
    ours = replace(entry, process=identify_process(os.getpid()))
    assert entry_status(replace(ours, began=1_000_000.0)) == "running", "it was set forward"
    assert entry_status(replace(ours, process=f"{ours.process}0")) == "interrupted", "it was set back"
    assert entry_status(replace(ours, process=f"another boot, {ours.process}")) == "interrupted"
