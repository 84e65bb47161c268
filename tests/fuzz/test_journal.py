"""The journal's rows, which a damaged disk or somebody else may have written, and what is made of them."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example
from hypothesis import strategies as st

from orchestrator.events.events import AnyEvent, DecisionRequested, NodeNote, Record
from orchestrator.events.json import encode, event_fields
from orchestrator.events.timeline import Timeline, find_unanswered
from orchestrator.journal.entry_status import entry_status, unfinished_rollout
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import unfinished_nodes
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.structs import built, damaged, plain, real, whole
from tests.fuzz.texts import json_of, mostly, text, tree
from tests.unit import journals
from widgets.transcript import make_lines

event = built(AnyEvent)
records = st.lists(st.builds(Record, st.integers(0, 40), st.floats(0, 4e9), event), max_size=12)
texts = st.one_of(damaged(AnyEvent), plain(AnyEvent).map(json_of), text)
TURN = json_of(
    {
        **{"event": "node_started", "node": "web1", "version": "1"},
        "originals": [
            dict.fromkeys(("instance", "backend", "server", "admin"), "web1") | {"weight": 1, "agent": False}
        ],
    }
)
rows = st.lists(st.tuples(mostly(whole, text), mostly(real, text), texts), max_size=4)
columns = st.dictionaries(
    st.sampled_from(
        ["kind", "application", "pid", "began", "ended", "result", "follows", "plan", "plan_hash"]
    ),
    st.one_of(whole.filter(lambda number: abs(number) < 2**63), real, text, tree.map(json_of)),
    max_size=3,
)


@fuzzed(record=st.builds(Record, st.integers(0, 40), st.floats(0, 4e9), event))
def test_an_event_comes_back_as_it_went(record: Record) -> None:
    assert msgspec.json.decode(encode(event_fields(record)), type=AnyEvent) == record.event


@fuzzed(record=st.builds(Record, st.integers(0, 40), st.floats(0, 4e9), event))
@example(Record(1, 0.0, DecisionRequested(question="1", subject="web1", text="again?", choices=["abort"])))
def test_every_event_has_its_lines_in_the_transcript(record: Record) -> None:
    assert all(line.text.isprintable() for line in make_lines(record, 1))


@fuzzed(records=records)
def test_events_in_any_order_tell_something(records: list[Record]) -> None:
    """A journal in which some are missing, changed or repeated is read as far as that goes."""

    def told() -> Any:
        timeline = Timeline.of(records)
        return (
            [timeline.node_result(node) for node in timeline.nodes],
            timeline.times.working,
            find_unanswered(records),
        )

    bounded(told, sum(len(encode(event_fields(record))) for record in records))


@fuzzed(rows=rows, columns=columns)
@example(rows=[(0, 0.0, TURN)], columns={})
@example(rows=[(0, 0.0, TURN.replace("web1", "ready"))], columns={"began": 1e300})
@example(rows=[("", "", TURN)], columns={"plan": "[" * 100_000})
@example(rows=[], columns={"kind": "change", "result": "healthy", "plan": '{"nodes": [{}]}'})
def test_rows_that_somebody_has_changed(rows: list[tuple[Any, Any, str]], columns: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.db") as journal:
        entry = journal.begin(journals.header(plan={"nodes": []}))
        for number in range(len(rows)):
            journal.append(entry, Record(number, 0.0, NodeNote(node="", text="")))
        with contextlib.closing(sqlite3.connect(journal.path)) as connection, connection:
            for number, (seq, at, written) in enumerate(rows):
                with contextlib.suppress(sqlite3.Error, OverflowError):  # what SQLite takes in no column
                    connection.execute(
                        "UPDATE events SET seq = ?, at = ?, event = ? WHERE seq = ?",
                        (seq, at, written, number),
                    )
            for column, value in columns.items():
                with contextlib.suppress(sqlite3.Error, OverflowError):
                    connection.execute(f"UPDATE entries SET {column} = ?", (value,))
        size = sum(len(written) for _, _, written in rows) + len(str(columns))
        found = bounded(lambda: list(journal.records(entry)), size)
        assert found is not None, "one row must not hide the others"
        assert len(found) == len(rows)
        bounded(lambda: [left.text for left in unfinished_nodes(journal, "shop").values()], size)
        bounded(lambda: unfinished_rollout(journal, "shop"), size)
        bounded(lambda: [entry_status(kept) for kept in journal.entries(unknown=True)], size)
        bounded(journal.verify, size)
        bounded(lambda: journal.find(str(columns)), size)
