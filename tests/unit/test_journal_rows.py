"""Events in journals of any age: upcast where they are older, passed over where nobody knows them."""

import json
import sqlite3
from pathlib import Path

import click
import pytest

from console.report.report import render_report
from console.terminal.history import entry_lines
from console.terminal.timeline import transcript_lines
from orchestrator.events.events import NodeNote, Record, Unreadable
from orchestrator.events.json import event_fields
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entries import JOURNAL_SCHEMA, decode_event, encode_row
from orchestrator.journal.entry_status import unfinished_rollout
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.migrations import VERSION, Fields, Upcaster, version_of
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import describe_unreadable_entries, unfinished_nodes
from tests.fixtures import FOLDER, copied
from tests.fixtures import journals as fixtures
from tests.unit import journals

NOTE = '{"schema":2,"seq":2,"at":1.0,"event":"node_note","node":"web1","text":"x"}'

HOSTILE = {
    "a kind of later": '{"event":"node_teleported","node":"web1","schema":1}',
    "a missing field": '{"event":"step_done","node":"web1","step":"drain"}',
    "a schema of later": '{"event":"noted","node":"web1","text":"x","schema":99}',
    "no schema": '{"event":"noted","node":"web1","text":"x","schema":"one"}',
    "a state of nothing": '{"event":"turn_began","node":"web1","version":"2","originals":[{"instance":"lb1",'
    '"backend":"shop","server":"web1","admin":"asleep","weight":1,"agent":false}]}',
    "no JSON": "{",
    "no object": '["noted"]',
    "nested": "[" * 100_000,
    "nothing": "",
    "no text": b"\xff\x00\xfe",
    "a number": 7,
}


@pytest.fixture(params=fixtures())
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return copied(request.param, tmp_path / "state" / "journal.db")


def replace(path: Path, entry: int, seq: int, event: object) -> None:
    """As a later Rolldeck, a damaged disk or somebody with an editor has it."""
    connection = sqlite3.connect(path, isolation_level=None)
    changed = connection.execute(
        "UPDATE events SET event = ? WHERE entry = ? AND seq = ?", (event, entry, seq)
    ).rowcount
    connection.close()
    assert changed == 1


# -- the schema -------------------------------------------------------------------------------


def test_each_version_and_each_schema_has_a_file_that_was_written_with_it() -> None:
    tables, schemas = set(), set()
    for name in fixtures():
        connection = sqlite3.connect(f"file:{FOLDER / name}?mode=ro&immutable=1", uri=True)
        tables.add(version_of(connection))
        schemas |= {json.loads(row[0])["schema"] for row in connection.execute("SELECT event FROM events")}
        connection.close()
    assert tables == set(range(1, VERSION + 1))
    assert schemas == set(range(1, JOURNAL_SCHEMA + 1))


def test_a_row_has_the_schema_of_the_journal() -> None:
    record = Record(2, 1.0, NodeNote(node="web1", text="x"))
    assert encode_row(record) == NOTE.encode()
    assert decode_event(NOTE.encode()) == record.event


def renamed(fields: Fields) -> Fields:
    return fields | {"text": fields["words"]}


def required(fields: Fields) -> Fields:
    return {"node": ""} | fields


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('{"schema":1,"event":"node_note","words":"of the first"}', "of the first"),
        ('{"schema":2,"event":"node_note","text":"of the second"}', "of the second"),
        ('{"schema":3,"event":"node_note","node":"","text":"of the third"}', "of the third"),
        ('{"event":"node_note","words":"older than schemas"}', "older than schemas"),
    ],
)
def test_an_event_of_an_earlier_schema_becomes_one_of_today(written: str, text: str) -> None:
    upcasters = {"node_note": (Upcaster(2, renamed), Upcaster(3, required))}
    assert decode_event(written.encode(), upcasters, 3) == NodeNote(node="", text=text)


def test_an_upcaster_that_does_not_find_what_it_needs_makes_it_unreadable() -> None:
    found = decode_event(b'{"schema":1,"event":"node_note"}', {"node_note": (Upcaster(2, renamed),)}, 2)
    assert isinstance(found, Unreadable)
    assert (found.kind, found.problem) == ("node_note", "'words'")


@pytest.mark.parametrize("event", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_event_is_unreadable(event: str | bytes | int) -> None:
    text = event if isinstance(event, bytes) else str(event).encode()
    found = decode_event(text)
    assert isinstance(found, Unreadable)
    assert found.problem
    assert len(found.text) < 3_000


# -- one of them in the middle ----------------------------------------------------------------


@pytest.mark.parametrize("event", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("seq", [2, 13])
def test_one_row_keeps_nobody_from_the_others(path: Path, event: object, seq: int) -> None:
    """Of the rollout that was killed: the second event, or the end of its drain."""
    replace(path, 3, seq, event)
    with Journal(path, read_only=True) as journal:
        found = list(journal.records(3))
        assert [record.seq for record in found] == list(range(1, 20))
        assert [record.seq for record in found if isinstance(record.event, Unreadable)] == [seq]
        left = unfinished_nodes(journal, "shop")
        last = unfinished_rollout(journal, "shop")
        told = describe_unreadable_entries(journal, "shop")
    assert last is not None
    assert last.id == 3
    assert left["web1"].text.endswith("interrupted at install")
    assert {original.weight for original in left["web1"].originals.values()} == {50}
    assert len(told) == 1
    assert told[0].startswith(f"event {seq} of entry 3 cannot be read: ")


@pytest.mark.parametrize("kind", ["a kind of later", "a missing field", "no JSON", "no text"])
def test_it_is_shown_as_what_it_is(path: Path, kind: str) -> None:
    replace(path, 3, 13, HOSTILE[kind])
    with Journal(path, read_only=True) as journal:
        entry = journal.entry(3)
        assert entry is not None
        records = list(journal.records(3))
        summary = EntrySummary.of(journal, entry)
    lines = [click.unstyle(line) for line in entry_lines(summary, Timeline.of(records), 0)]
    assert [line for line in lines if "which cannot be read" in line]
    assert "which cannot be read" in render_report(summary, records)
    assert list(transcript_lines(records))
    fields = event_fields(records[12], entry=entry.id)
    assert (fields["event"], fields["seq"]) == ("unreadable", 13)


def test_what_may_matter_is_told_until_a_rollout_has_ended_well(path: Path) -> None:
    replace(path, 3, 3, '{"event":"turn_began","node":"web1"}')
    with Journal(path, read_only=True) as journal:
        assert unfinished_nodes(journal, "shop") == {}
        [told] = describe_unreadable_entries(journal, "shop")
        assert told.startswith("event 3 of entry 3 cannot be read: ")
        assert describe_unreadable_entries(journal, "other") == []
    journals.write(path, journals.healthy())
    with Journal(path, read_only=True) as journal:
        assert describe_unreadable_entries(journal, "shop") == []


def test_hashes_are_of_the_rows_as_they_stand(path: Path) -> None:
    with Journal(path) as journal:
        before = journal.verify()
        assert before.intact
    state = before.entries[2].state
    replace(path, 3, 13, HOSTILE["a kind of later"])
    with Journal(path) as journal:
        after = journal.verify(3)
    assert after.entries[0].state == ("broken" if state == "intact" else state)


@pytest.mark.parametrize(("column", "value"), [("seq", "x"), ("at", "noon"), ("at", 1e300), ("at", -1)])
def test_a_row_without_a_number_or_a_time(path: Path, column: str, value: object) -> None:
    journals.change(path, f"UPDATE events SET {column} = {value!r} WHERE entry = 3 AND seq = 13")
    with Journal(path, read_only=True) as journal:
        found = list(journal.records(3))
        assert len(found) == 19
        assert sum(isinstance(record.event, Unreadable) for record in found) == 1
        assert list(unfinished_nodes(journal, "shop")) == ["web1"]


# -- entries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    ["kind = 'canary'", "pid = 'x'", "began = 1e300", "version = x'ff'", "operator = CAST(x'ff' AS TEXT)"],
)
def test_an_entry_that_cannot_be_read_hides_no_other(path: Path, change: str) -> None:
    journals.change(path, f"UPDATE entries SET {change} WHERE id = 2")
    with Journal(path, read_only=True) as journal:
        whole = "CAST" in change  # it is text, if an odd one
        assert [entry.id for entry in journal.entries("shop")] == ([3, 2, 1] if whole else [3, 1])
        assert list(unfinished_nodes(journal, "shop")) == ["web1"]
        found = journal.entries("shop", unknown=True)
        assert [entry.id for entry in found] == [3, 2, 1]
        assert [bool(entry.problem) for entry in found] == [False, not whole, False]
        for entry in found:
            summary = EntrySummary.of(journal, entry)
            lines = "\n".join(entry_lines(summary, Timeline.of(journal.records(entry.id)), 0))
            assert bool(entry.problem) == ("cannot be read" in lines)
            assert json.dumps(summary.fields())
        told = describe_unreadable_entries(journal, "shop")
    assert bool(told) is not whole


@pytest.mark.parametrize("plan", ["{", "[]", "7", "[" * 100_000, '{"nodes": 7}'])
def test_a_plan_that_is_none_is_not_intact(path: Path, plan: str) -> None:
    journals.change(path, f"UPDATE entries SET plan = '{plan}'")
    with Journal(path, read_only=True) as journal:
        assert [entry.intact for entry in journal.entries()] == [False] * 3
        assert list(unfinished_nodes(journal, "shop")) == ["web1"]
