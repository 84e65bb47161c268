"""The verdict where people read: progress, result, history and status, each with its state in a word."""

import json
import time
from pathlib import Path

import click
import pytest
from msgspec import structs

from console.commands.history import history
from console.terminal.history import entry_lines
from console.terminal.progress import Progress
from console.terminal.rollout_text import ending_lines
from console.terminal.status import status_fields, status_lines
from orchestrator.events.events import Record, RolloutEnded
from orchestrator.events.judgement import Measured, VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.events.text import describe
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entry_status import rollout_status
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal
from orchestrator.session.status import ApplicationStatus
from tests.support.console_values import HOSTILE, harmless
from tests.support.verdicts import BAD, BLIND, GOOD, HOLD, with_verdicts
from tests.unit import journals

LATER = structs.replace(GOOD, requests=4_000)


def ended() -> RolloutEnded:
    event = journals.healthy()[-1].event
    assert isinstance(event, RolloutEnded)
    return event


def test_progress_has_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    state = RolloutState()
    progress = Progress(state)
    measured = Measured(duration_s=60, servers=[])
    judged = [BLIND, BLIND, GOOD, measured, LATER, HOLD, BAD, BAD]
    for number, event in enumerate([journals.healthy()[0].event, *judged], 1):
        record = Record(number, 1_700_000_000.0 + number, event)  # type: ignore[arg-type]
        state.apply(record)
        progress(record)
    assert capsys.readouterr().err.splitlines() == [
        f"? {describe(BLIND)}",
        f"✓ {describe(GOOD)}",
        f"! {describe(HOLD)}",
        f"✗ {describe(BAD)}",
    ]


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        (GOOD, "good: "),
        (HOLD, "hold: 1.5.0 is slower"),
        (BAD, "bad (web1): "),
        (BLIND, "blind, it could not be judged: "),
    ],
)
def test_the_result_names_the_verdict(verdict: VerdictChanged, word: str) -> None:
    lines = [click.unstyle(line) for line in ending_lines(ended(), verdict)]
    [line] = [line for line in lines if line.startswith("  verdict")]
    assert line.startswith(f"  verdict     {word}")
    assert not [line for line in ending_lines(ended()) if "verdict" in line]


def test_history_has_the_last_verdict_and_each_change(tmp_path: Path) -> None:
    records = with_verdicts(journals.healthy(), BLIND, GOOD, LATER)
    path = tmp_path / "journal.db"
    entry = journals.write(path, records)
    with Journal(path, read_only=True) as journal:
        found = journal.entry(entry)
        assert found is not None
        summary = EntrySummary.of(journal, found)
    lines = [click.unstyle(line) for line in entry_lines(summary, Timeline.of(records), 0)]
    assert "  verdict   good: 0 of 4,000 failed · others 2 of 9,480" in lines
    noted = [line[13:] for line in lines if line.endswith(("good so far", "others 1 of 300"))]
    assert noted == [describe(BLIND), describe(GOOD)]


def test_json_of_an_entry_has_the_last_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.db"
    entry = journals.write(path, with_verdicts(journals.healthy(), BLIND, GOOD))
    history.main(["--journal", str(path), "show", str(entry), "--json"], standalone_mode=False)
    first, *events = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["verdict"]["state"] == "good"
    assert first["verdict"]["other_requests"] == 9_480
    assert [event["state"] for event in events if event["event"] == "verdict"] == ["blind", "good"]


def test_status_has_the_verdict_of_a_running_rollout(tmp_path: Path) -> None:
    now, path = time.time(), tmp_path / "journal.db"
    running = with_verdicts(journals.healthy(), HOLD)[:-1]
    journals.write(path, [Record(record.seq, now, record.event) for record in running])
    with Journal(path, read_only=True) as journal:
        found = rollout_status(journal, "shop")
    assert found is not None
    assert found.verdict == HOLD
    status = ApplicationStatus(rollouts=[found])
    assert f"  ! {describe(HOLD)}" in [click.unstyle(line) for line in status_lines("shop", status)]
    [fields] = status_fields("shop", status)
    assert isinstance(fields["verdict"], dict)
    assert fields["verdict"]["state"] == "hold"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_in_a_verdict_can_control_a_terminal(text: str) -> None:
    verdict = structs.replace(BAD, version=text, node=text, reason=text)
    state = RolloutState.of(with_verdicts(journals.healthy(), verdict))
    for line in ending_lines(ended(), state.verdict):
        assert harmless(click.unstyle(line))
