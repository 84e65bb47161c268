"""Who did something and from where, as people read it in one entry, the report and the transcript."""

from pathlib import Path

import msgspec
import pytest

from console.report.report import render_report
from console.terminal.history import entry_lines
from orchestrator.events.actor import ROLLDECK, Actor, Via, describe_origin, describe_requester_in_full
from orchestrator.events.events import AbortRequested, AnyEvent, DecisionMade, NodeSkipped, Paused, Resumed
from orchestrator.events.state import RolloutState
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal
from tests.unit import journals
from widgets.transcript import make_lines

KEY = "ssh-ed25519 SHA256:abc"
ANN = Actor("ann@ops", "console", 1000, KEY)
EVE = Actor("eve@there", "consul", credential="signed \x1b[2J")


def events(who: Actor) -> list[AnyEvent]:
    return [
        Paused(who=who.name, why="lunch", **who.origin),
        Resumed(who=who.name, duration_s=1.0, **who.origin),
        DecisionMade(question="1", subject="web1", choice="continue", who=who.name, **who.origin),
        NodeSkipped(node="web1", who=who.name, **who.origin),
        AbortRequested(who=who.name, why="", immediate=False, **who.origin),
    ]


def everywhere(path: Path, *told: AnyEvent) -> list[str]:
    """What is told of an entry: on the terminal, in the report, in the transcript."""
    entry = journals.write(path, journals.numbered(*told))
    with Journal(path, read_only=True) as journal:
        found = journal.entry(entry)
        assert found is not None
        records, summary = list(journal.records(entry)), EntrySummary.of(journal, found)
    transcript = "\n".join(line.text for record in records for line in make_lines(record, 1))
    return [
        "\n".join(entry_lines(summary, Timeline.of(records), 0)),
        render_report(summary, records),
        transcript,
    ]


@pytest.mark.parametrize("event", events(EVE), ids=lambda event: type(event).__name__)
def test_what_was_asked_from_elsewhere_says_so_with_its_credential(tmp_path: Path, event: AnyEvent) -> None:
    for text in everywhere(tmp_path / "journal.db", journals.started(), event):
        assert "eve@there via Consul (signed " in text
        assert "\x1b[2J" not in text


@pytest.mark.parametrize("who", [ANN, Actor("ann@ops", "terminal"), Actor("ann@ops"), ROLLDECK])
def test_what_was_done_here_has_the_name_alone(tmp_path: Path, who: Actor) -> None:
    for text in everywhere(tmp_path / "journal.db", journals.started(), *events(who)):
        assert who.name in text
        assert " via " not in text
        assert KEY not in text


def test_who_began_is_told_with_uid_and_key(tmp_path: Path) -> None:
    started = msgspec.structs.replace(journals.started(), **ANN.origin)
    terminal, report, _ = everywhere(tmp_path / "journal.db", started)
    for text in (terminal, report):
        assert f"the console, uid 1000, logged in with {KEY}" in text


def test_what_an_earlier_version_wrote_claims_nothing(tmp_path: Path) -> None:
    terminal, report, _ = everywhere(tmp_path / "journal.db", journals.started(), *events(Actor("ann@ops")))
    assert "  from  " not in terminal
    assert ">From<" not in report


@pytest.mark.parametrize(
    ("via", "words"),
    [("", ""), ("rolldeck", ""), ("terminal", "the terminal"), ("socket", "this machine's socket")],
)
def test_the_words(via: Via, words: str) -> None:
    assert describe_origin(Actor("ann", via).origin) == words
    expected = "ann via this machine's socket" if via == "socket" else "ann"
    assert describe_requester_in_full("ann", Actor("ann", via).origin) == expected


def test_the_phase_says_it_too() -> None:
    paused = journals.numbered(journals.started(), events(EVE)[0])
    assert RolloutState.of(paused).phase_text == "paused by eve@there via Consul: lunch"
