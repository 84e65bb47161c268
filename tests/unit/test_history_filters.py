"""The filters of the list of entries, in the command line and as values."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.journal.entry_filter import (
    PAGE_ENTRIES,
    EntryFilter,
    find_entries,
    parse_results,
    parse_since,
)
from orchestrator.journal.store import Journal
from tests.unit import journals
from tests.unit.test_history import Rolldeck, path, rolldeck

__all__ = ["path", "rolldeck"]  # fixtures

pytestmark = pytest.mark.usefixtures("local_time")

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC).timestamp()


def ids(done_out: str) -> list[int]:
    return [json.loads(line)["entry"] for line in done_out.splitlines()]


def test_each_filter_and_all_of_them(path: Path, rolldeck: Rolldeck) -> None:
    now = time.time()
    journals.write(path, journals.healthy(), operator="ann@ops", began=now - 5 * 86_400)
    journals.write(path, journals.troubled(), operator="bob@ops", began=now - 3_600)
    journals.write(path, journals.healthy()[:40], pid=2**22 + 1, began=now - 60)
    journals.write(path, journals.healthy()[:1], application="pay", host="elsewhere", began=now - 30)

    def listed(*arguments: str) -> list[int]:
        return ids(rolldeck("list", "--json", *arguments).out)

    assert listed("--since", "2h") == [4, 3, 2]
    assert listed("--since", "30m") == [4, 3]
    assert listed("--since", "2000-01-01") == [4, 3, 2, 1]
    assert listed("--result", "healthy") == [1]
    assert listed("--result", "aborted, no-end") == [4, 2]
    assert listed("--result", "interrupted") == [3]
    assert listed("--operator", "ann") == listed("--operator", "ann@ops") == [1]
    assert listed("--operator", "*@ops") == [2, 1]
    assert listed("--node", "web2", "--limit", "1") == [4]
    assert listed("shop", "--node", "web[23]", "--result", "aborted", "--since", "1d") == [2]
    assert listed("--node", "web9") == []
    assert "no such entries of shop in the journal" in rolldeck("shop", "--node", "web9").err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--since", "tomorow"), "found 'tomorow', expected 30m, 12h, 7d, 2w, today, yesterday,"),
        (("--since", "999999w"), "found '999999w', expected"),
        (("--result", "helthy"), "no result 'helthy'; did you mean 'healthy'?"),
    ],
)
def test_a_wrong_value_is_explained(rolldeck: Rolldeck, arguments: tuple[str, ...], problem: str) -> None:
    done = rolldeck(*arguments)
    assert done.code == 2
    assert problem in done.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", "2026-11-29 09:00"),
        ("2 h", "2026-11-29 07:30"),
        ("1w", "2026-11-22 09:30"),
        ("2026-11-20", "2026-11-20 00:00"),
        ("2026-11-20 14:05", "2026-11-20 14:05"),
        ("today", "2026-11-29 00:00"),
        ("yesterday", "2026-11-28 00:00"),
    ],
)
def test_times(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    found = datetime.fromtimestamp(parse_since(text, NOW), UTC)
    assert f"{found:%Y-%m-%d %H:%M}" == expected


def test_results_are_separated_by_anything_usual() -> None:
    assert parse_results("healthy,degraded healthy") == ("healthy", "degraded")


def test_a_long_journal_is_read_page_by_page(path: Path) -> None:
    with Journal(path) as journal, journal.transaction():
        for number in range(2 * PAGE_ENTRIES + 1):
            journal.begin(journals.header(operator="ann" if number % 2 else "bob"))
    with Journal(path, read_only=True) as journal:
        found = [entry.id for entry in find_entries(journal, EntryFilter(operator="bob"))]
        assert found == list(range(2 * PAGE_ENTRIES + 1, 0, -2))
        assert [entry.id for entry in find_entries(journal, EntryFilter(), 3)] == [401, 400, 399]
