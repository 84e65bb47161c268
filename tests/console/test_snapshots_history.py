"""Snapshots of the history and of one entry."""

import time
from pathlib import Path

import pytest

from console.tui.screens.history import HistoryScreen
from orchestrator.journal.reader import HistoryReader
from tests.console.conftest import SnapshotCheck, sees
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.test_snapshots_dialogs import shows
from tests.support.verdicts import BAD, with_verdicts
from tests.unit import journals


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "journal.db"
    place = {"host": "ops1", "pid": 4711}
    for number in range(12):
        journals.write(path, journals.healthy(), operator="anna@ops1", **place)
        if number % 4 == 1:
            journals.write(path, with_verdicts(journals.troubled(), BAD), operator="bob@ops2", **place)
    return path


@pytest.fixture
def screen(path: Path, monkeypatch: pytest.MonkeyPatch) -> HistoryScreen:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return HistoryScreen(HistoryReader(path), "shop")


def test_history(matches_snapshot: SnapshotCheck, screen: HistoryScreen) -> None:
    acts = (shows(screen), sees("History of shop · 15 entries"), "down", "down")
    assert matches_snapshot(lambda: FrozenConsole(CALM), *acts)


def test_entry(matches_snapshot: SnapshotCheck, screen: HistoryScreen) -> None:
    acts = (shows(screen), sees("15 entries"), *["down"] * 2, "enter", sees("upgrade 13 of shop"))
    assert matches_snapshot(lambda: FrozenConsole(CALM), *acts)
