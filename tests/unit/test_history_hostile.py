"""`rolldeck history` shows hostile text harmlessly, and its list fits the terminal."""

from pathlib import Path

import click
import pytest

from console.terminal.history import entry_lines, entry_table
from console.terminal.output import width
from console.terminal.timeline import transcript_lines
from orchestrator.events.events import (
    AbortRequested,
    AnyEvent,
    CommandFinished,
    CommandSending,
    DecisionMade,
    DecisionRequested,
    ManualChangeFinished,
    ManualChangeStarted,
    NodeFailed,
    NodeNote,
    Paused,
    RolloutEnded,
    ServiceLog,
    StepDone,
    StepStarted,
    Waiting,
)
from orchestrator.events.timeline import Timeline
from orchestrator.events.ways_back import BackCommand, OutOfRotation
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal
from tests.support.console_values import HOSTILE, harmless
from tests.unit import journals

NASTY = [*(text for text in HOSTILE if "\ud800" not in text), "<script>alert(1)</script>", "a" * 10_240]

pytestmark = pytest.mark.usefixtures("local_time")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def hostile_rollout(text: str) -> list[AnyEvent]:
    """Whatever can be said from outside is this text."""
    out = OutOfRotation(
        node=text,
        servers=[text],
        intentional=False,
        commands=[BackCommand("ready", text), BackCommand("by_hand", text)],
        rollback_command=text,
    )
    nobody: list[str] = []
    return [
        journals.started(application=text, version=text, nodes=[text], batches=[[text]], operator=text),
        StepStarted(node=text, step="drain"),
        CommandSending(node=text, step="drain", target=text, command=text),
        CommandFinished(
            node=text, step="drain", target=text, command=text, reply=text, ok=False, duration_s=0.1
        ),
        Waiting(node=text, step="drain", reason=text, remaining_s=3),
        StepDone(node=text, step="drain", changed=True, detail=text, duration_s=1),
        StepStarted(node=text, step="stop"),
        NodeNote(node=text, text=text),
        NodeFailed(node=text, step="stop", error=text),
        ServiceLog(node=text, step="stop", lines=[text]),
        DecisionRequested(question="1", subject=text, text=text, choices=[text]),
        DecisionMade(question="1", subject=text, choice=text, who=text),
        Paused(who=text, why=text),
        AbortRequested(who=text, why=text, immediate=True),
        ManualChangeStarted(action=text, nodes=[text], weight=1, override=[text], operator=text),
        ManualChangeFinished(nodes=[text], servers=[text], error=""),
        RolloutEnded(
            result="degraded",
            reason=text,
            upgraded=nobody,
            failed=[text],
            skipped=nobody,
            interrupted=nobody,
            pending=nobody,
            out_of_rotation=[out],
            unreachable_balancers=[text],
            duration_s=9,
        ),
    ]


def write_hostile(path: Path, text: str) -> int:
    plan = {
        "batches": [[text]],
        "nodes": [text],
        "findings": [{"severity": "error", "subject": text, "text": text}],
    }
    records = journals.numbered(*hostile_rollout(text))
    return journals.write(path, records, application=text, version=text, operator=text, host=text, plan=plan)


@pytest.mark.parametrize("text", NASTY)
def test_nothing_that_was_said_can_control_a_terminal(path: Path, text: str) -> None:
    entry = write_hostile(path, text)
    with Journal(path, read_only=True) as journal:
        found = journal.entry(entry)
        assert found is not None
        records, summary = list(journal.records(entry)), EntrySummary.of(journal, found)
    lines = [*entry_table([summary], 80), *entry_table([summary], 0)]
    for columns in (0, 80):
        lines += entry_lines(summary, Timeline.of(records), columns)
    for line in [*lines, *transcript_lines(records)]:
        assert harmless(click.unstyle(line)), line[:200]
        assert text.isprintable() or text not in line  # not even a color, which `unstyle` takes away


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_list_fits(path: Path, columns: int) -> None:
    for text in ("shop", "日本語" * 30, "x" * 10_240):
        journals.write(path, journals.healthy()[:1], application=text, operator=f"{text}@ops1.example.com")
    with Journal(path, read_only=True) as journal:
        entries = [EntrySummary.of(journal, entry) for entry in journal.entries()]
    lines = [click.unstyle(line) for line in entry_table(entries, columns)]
    assert max(width(line) for line in lines) <= columns
    assert all("upgrade 1.0 → 2.0" in line for line in lines[1:])


def test_the_year_goes_where_it_is_this_year(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journals.write(path, journals.healthy())
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0 + 3600)
    with Journal(path, read_only=True) as journal:
        entries = [EntrySummary.of(journal, entry) for entry in journal.entries()]
    assert " 11-14 22:13 " in list(entry_table(entries, 70))[1]
    assert " 2023-11-14 22:13 " in list(entry_table(entries, 120))[1]
