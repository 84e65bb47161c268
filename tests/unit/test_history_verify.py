"""`rolldeck history verify`: whether the journal is what was written, as a shell sees it."""

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from console.cli import main
from orchestrator.journal.store import Journal
from tests.fixtures import copied
from tests.unit import journals
from tests.unit.console_shell import Done


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return journals.three(tmp_path / "journal.db")


Rolldeck = Callable[..., Done]


@pytest.fixture
def rolldeck(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rolldeck:
    """`rolldeck history verify` on this journal."""

    def call(*arguments: str, journal: Path = path) -> Done:
        command = ["rolldeck", "history", "--journal", str(journal), "verify", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(int(caught.value.code or 0), out, err)

    return call


def test_the_command_says_so_and_exits_with_it(path: Path, rolldeck: Rolldeck) -> None:
    done = rolldeck()
    assert done.code == 0
    assert "entry 3: intact, 9 events, head " in done.out
    assert "not sealed: it may lack its last events" in done.out
    assert "all hashes match" in done.out
    journals.change(path, "UPDATE entries SET operator = 'bob@ops' WHERE id = 1")
    done = rolldeck()
    assert done.code == 1
    assert "entry 1: BROKEN" in done.out
    assert "its operator, host, process" in done.out
    assert "it was CHANGED" in done.out
    assert rolldeck("2").code == 0
    assert rolldeck("1").code == 1
    done = rolldeck("99")
    assert (done.code, "has no entry 99; the newest is 3" in done.out + done.err) == (2, True)


def test_the_command_for_programs(path: Path, rolldeck: Rolldeck) -> None:
    with Journal(path) as journal:
        head = journal.head(2)
    done = rolldeck("2", "--json", "--head", head)
    entry, whole = map(json.loads, done.out.splitlines())
    assert done.code == 0
    assert (entry["kind"], entry["entry"], entry["state"], entry["head"]) == (
        "entry_verification",
        2,
        "intact",
        head,
    )
    assert (whole["kind"], whole["intact"]) == ("journal_verification", True)
    assert whole["head_found"] == {"entry": 2, "seq": entry["events"]}


def test_the_command_looks_for_a_head_that_was_kept(path: Path, rolldeck: Rolldeck) -> None:
    with Journal(path) as journal:
        head = journal.head(2)
    done = rolldeck("--head", head)
    assert (done.code, f"{head}: the head of entry 2 up to event" in done.out + done.err) == (0, True)
    done = rolldeck("--head", "ab" * 32)
    assert (done.code, "no such head" in done.out + done.err) == (1, True)
    assert rolldeck("1", "--head", head).code == 1, "it is of another entry"
    assert rolldeck("--head", "x").code == 2


def test_an_old_journal_is_not_called_broken(tmp_path: Path, rolldeck: Rolldeck) -> None:
    old = copied("journal-v1.db", tmp_path / "old.db")
    done = rolldeck(journal=old)
    assert done.code == 0
    assert done.out.count("written before hashes, not verifiable") == 3
    connection = sqlite3.connect(old)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
