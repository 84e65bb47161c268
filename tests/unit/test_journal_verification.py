"""What a changed journal shows: each kind of change is found, and what was not changed is not blamed."""

from pathlib import Path

import pytest

from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import ManualChangeFinished, NodeNote, Record
from orchestrator.journal import chain
from orchestrator.journal.recording import recording
from orchestrator.journal.store import Journal
from orchestrator.journal.verification import Verification
from tests.fixtures import copied
from tests.support.virtual_time import VirtualClock
from tests.unit import journals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three entries: a healthy rollout, a troubled one, and one whose process was killed."""
    return journals.three(tmp_path / "journal.db")


def verified(path: Path, entry: int | None = None) -> Verification:
    with Journal(path, read_only=True) as journal:
        return journal.verify(entry)


def problems(path: Path) -> dict[int, str]:
    """In words, by entry; those of the whole journal under 0."""
    found = verified(path)
    named = {entry.entry: "; ".join(entry.problems) for entry in found.entries}
    return {number: words for number, words in {0: "; ".join(found.problems), **named}.items() if words}


def test_what_nobody_has_changed_is_intact(path: Path) -> None:
    found = verified(path)
    assert found.intact
    assert [(entry.entry, entry.state) for entry in found.entries] == [
        (1, "intact"),
        (2, "intact"),
        (3, "intact"),
    ]
    counts = [len(journals.healthy()), len(journals.troubled()), 9]
    assert [entry.events for entry in found.entries] == counts
    assert [entry.sealed for entry in found.entries] == [counts[0], counts[1], None]


TAMPERED = {
    "a renamed operator": ("UPDATE entries SET operator = 'bob@ops' WHERE id = 1", 1, "its operator, host"),
    "another machine": ("UPDATE entries SET host = 'there' WHERE id = 1", 1, "its operator, host"),
    "another application": ("UPDATE entries SET application = 'pay' WHERE id = 1", 1, "its operator, host"),
    "another kind": ("UPDATE entries SET kind = 'rollback' WHERE id = 1", 1, "its operator, host"),
    "another time": ("UPDATE entries SET began = began + 1 WHERE id = 1", 1, "its operator, host"),
    "no text": ("UPDATE entries SET operator = x'ff00' WHERE id = 1", 1, "its operator, host"),
    "no utf-8": ("UPDATE entries SET operator = CAST(x'ff' AS TEXT) WHERE id = 1", 1, "its operator, host"),
    "another plan": ("UPDATE entries SET plan = replace(plan, 'web3', 'web4') WHERE id = 1", 1, "its plan"),
    "a plan with its hash": (
        "UPDATE entries SET plan = 'x', plan_hash ="
        " '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881' WHERE id = 1",
        1,
        "plan's hash was changed",
    ),
    "another result": (
        "UPDATE entries SET result = 'healthy' WHERE id = 2",
        2,
        "its end was changed: result",
    ),
    "another end": ("UPDATE entries SET ended = 1 WHERE id = 2", 2, "its end was changed: time"),
    "another reason": ("UPDATE entries SET reason = 'x' WHERE id = 2", 2, "its end was changed: reason"),
    "no end": (
        "UPDATE entries SET ended = NULL, result = '', reason = '' WHERE id = 2",
        2,
        "its end was changed: time, result, reason",
    ),
    "an end that was none": (
        "UPDATE entries SET ended = 1, result = 'healthy' WHERE id = 3",
        3,
        "its end was changed: time, result",
    ),
    "a changed event": (
        "UPDATE events SET event = event || ' ' WHERE entry = 2 AND seq = 5",
        2,
        "event 5 is not the one",
    ),
    "the time of an event": (
        "UPDATE events SET at = at + 1 WHERE entry = 2 AND seq = 5",
        2,
        "event 5 is not",
    ),
    "an event as bytes": (
        "UPDATE events SET event = x'ff' WHERE entry = 2 AND seq = 5",
        2,
        "event 5 is not the one",
    ),
    "a time that is none": (
        "UPDATE events SET at = 'x' WHERE entry = 2 AND seq = 5",
        2,
        "event 5 is not",
    ),
    "a number that is none": (
        "UPDATE events SET seq = 'x' WHERE entry = 2 AND seq = 5",
        2,
        "1 of its events has no number; event 5 is missing",
    ),
    "a missing event": ("DELETE FROM events WHERE entry = 2 AND seq = 5", 2, "event 5 is missing"),
    "a missing event with its hash": (
        "DELETE FROM events WHERE entry = 2 AND seq = 5; DELETE FROM hashes WHERE entry = 2 AND seq = 5",
        2,
        "event 6 is not the one that was written, or one before it was removed",
    ),
    "the last events": (
        "DELETE FROM events WHERE entry = 2 AND seq > 20; DELETE FROM hashes WHERE entry = 2 AND seq > 20",
        2,
        "it had events up to",
    ),
    "all events": (
        "DELETE FROM events WHERE entry = 1; DELETE FROM hashes WHERE entry = 1",
        1,
        "it had events up to",
    ),
    "an added event": (
        "INSERT INTO events SELECT entry, 999, at, event FROM events WHERE entry = 3 AND seq = 5",
        3,
        "event 999 was added: it has no hash",
    ),
    "two events in another order": (
        "UPDATE events SET seq = 1000 WHERE entry = 1 AND seq = 5;"
        "UPDATE events SET seq = 5 WHERE entry = 1 AND seq = 6;"
        "UPDATE events SET seq = 6 WHERE entry = 1 AND seq = 1000",
        1,
        "event 5 is not the one",
    ),
    "events of another entry": (
        "UPDATE events SET entry = 100 WHERE entry = 1; UPDATE hashes SET entry = 100 WHERE entry = 1",
        0,
        "entry 100 is missing, but has events",
    ),
    "a missing entry": ("DELETE FROM entries WHERE id = 1", 0, "entry 1 is missing: it was begun"),
    "an added entry": (
        "INSERT INTO entries SELECT 9, kind, application, version, operator, host, pid, began, ended, result,"
        " reason, follows, plan, plan_hash FROM entries WHERE id = 1",
        9,
        "the journal's chain does not say that it was begun",
    ),
    "a hash that is none": (
        "UPDATE hashes SET hash = 'x' WHERE entry = 2 AND seq = 5",
        2,
        "event 5 is not",
    ),
    "all hashes of an entry": ("DELETE FROM hashes WHERE entry = 2", 2, "event 1 was added: it has no hash"),
    "a changed link": (
        "UPDATE links SET entry = 9 WHERE number = 3",
        0,
        "link 3 of the journal's chain",
    ),
    "a link as text": (
        "UPDATE links SET head = 'x' WHERE number = 3",
        0,
        "link 3 of the journal's chain",
    ),
    "a missing link": ("DELETE FROM links WHERE number = 3", 0, "link 3 of the journal's chain"),
    "all links": ("DELETE FROM links", 0, "the journal's chain has no beginning"),
    "older than hashes": (
        "UPDATE links SET entry = 9 WHERE number = 1",
        0,
        "link 1 of the journal's chain",
    ),
    "pruned by hand": (
        "INSERT INTO links SELECT 7, 'pruned', 1, seq, head, hash FROM links WHERE number = 3",
        0,
        "link 7 of the journal's chain",
    ),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_each_change_is_found(path: Path, change: str) -> None:
    statements, entry, words = TAMPERED[change]
    for statement in statements.split(";"):
        journals.change(path, statement)
    found = problems(path)
    assert words in found[entry], found
    assert not verified(path).intact
    if words.startswith(("event", "its", "of its", "what")):
        assert set(found) == {entry}, "the others are not blamed"


def test_the_last_events_of_a_killed_one_show_once_somebody_has_begun_the_next(path: Path) -> None:
    """Only then is there a seal; before that, only a head that was kept elsewhere shows it."""
    cut = "DELETE FROM events WHERE entry = 3 AND seq > 5", "DELETE FROM hashes WHERE entry = 3 AND seq > 5"
    with Journal(path) as journal:
        head = journal.head(3)
    journals.write(path, journals.healthy()[:3])
    assert [entry.sealed for entry in verified(path).entries][2] == 9
    for statement in cut:
        journals.change(path, statement)
    assert "it had events up to 9 when it was sealed, and now the last one is 5" in problems(path)[3]
    with Journal(path, read_only=True) as journal:
        assert journal.find(head) == (3, 9), "the seal has kept it"


def test_a_head_that_was_kept_elsewhere_shows_what_was_calculated_anew(path: Path) -> None:
    """Whoever may write the file can write a chain that is right, and nothing in the file betrays it."""
    with Journal(path, read_only=True) as journal:
        kept = journal.head(3)
        assert journal.find(kept) == (3, 9)
    forged = path.with_name("forged.db")
    for entry, operator in ((1, "ann@ops"), (2, "bob@ops"), (3, "ann@ops")):
        with Journal(path, read_only=True) as journal:
            journals.write(forged, list(journal.records(entry)), operator=operator)
    assert verified(forged).intact
    with Journal(forged, read_only=True) as journal:
        assert journal.find(kept) is None


def test_what_was_pruned_leaves_a_link_and_is_not_missing(path: Path) -> None:
    with Journal(path) as journal:
        head = journal.head(1)
        assert journal.prune(1e12) == 1
        assert journal.find(head) is not None
    found = verified(path)
    assert (found.intact, found.pruned) == (True, 1)
    assert [entry.entry for entry in found.entries] == [2, 3]
    journals.write(path, journals.healthy())
    assert verified(path).intact


def test_old_entries_are_pruned_too_and_replaced_by_nothing(tmp_path: Path) -> None:
    path = copied("journal-v1.db", tmp_path / "journal.db")
    with Journal(path) as journal:
        assert journal.prune(1e12) == 2
        assert [entry.id for entry in journal.entries()] == [3]
    assert verified(path).intact


@pytest.mark.virtual_time
async def test_the_bus_knows_the_head_while_it_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    bus = EventBus(VirtualClock())
    heads: list[str] = []
    bus.subscribe(lambda _: heads.append(bus.journal_head))
    with (
        Journal(path) as journal,
        recording(journal, bus, journals.header()) as entry,
    ):
        heads.append(bus.journal_head)
        bus.emit(NodeNote(node="", text="one"))
        bus.emit(NodeNote(node="", text="two"))
        assert journal.head(entry) == heads[-1]
    bus.emit(NodeNote(node="", text="nobody writes this down"))
    first, one, two, none = heads
    assert len({first, one, two}) == 3
    assert none == ""
    with Journal(path, read_only=True) as journal:
        assert [journal.find(entry) for entry in (first, one, two)] == [(1, 0), (1, 1), (1, 2)]
    assert [entry.sealed for entry in verified(path).entries] == [2]


@pytest.mark.virtual_time
async def test_a_change_by_hand_in_the_middle_does_not_end_the_rollouts_entry(tmp_path: Path) -> None:
    """Killed after it, it would have counted as healthy, and been forgotten with age."""
    path = tmp_path / "journal.db"
    bus = EventBus(VirtualClock())
    with (
        Journal(path) as journal,
        recording(journal, bus, journals.header()),
    ):
        bus.emit(journals.started())
        bus.emit(ManualChangeFinished(nodes=["web2"], servers=[], error=""))
    with Journal(path, read_only=True) as journal:
        [entry] = journal.entries()
    assert (entry.ended, entry.result) == (None, "")
    assert verified(path).intact


def test_it_is_verified_while_it_is_written(path: Path) -> None:
    with Journal(path) as journal:
        for number in range(10, 30):
            journal.append(3, Record(number, 1.0, NodeNote(node="", text="x")))
            assert verified(path).intact


def test_numbers_must_rise(path: Path) -> None:
    with Journal(path) as journal, pytest.raises(Exception, match="event 0 of entry 3 comes after event 9"):
        journal.append(3, Record(0, 1.0, NodeNote(node="", text="x")))
    assert verified(path).intact


def test_the_hash_of_an_event_is_what_the_description_says() -> None:
    """Fixed: a journal of today must verify with every later version."""
    first = chain.event_hash(chain.START, 1, 2, 3.5, b"{}")
    assert first.hex() == "9294c4f116746af059730e0b4747de168b47c7fe82810e732c0031d9e6804ee8"
    link = chain.link_hash(chain.START, "begun", 1, 0, first)
    assert link.hex() == "964acaf9b04cb65bd62a461a4ec2cb9f56592b690724dd8be07d134ff0128318"
