"""What the fleet knows from the journal: unfinished rollouts and versions, read again when they change."""

import time
from pathlib import Path

import pytest

from orchestrator.fleet import journal_reader
from orchestrator.fleet.journal_reader import JournalReader
from orchestrator.journal.store import Journal
from tests.unit import journals


@pytest.fixture(autouse=True)
def _records() -> None:
    journals.healthy()  # they run a loop of their own, once
    journals.troubled()


async def test_it_reads_what_is_there_and_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    reader = JournalReader(path)
    await reader.refresh()
    assert (reader.summaries, reader.problem) == ({}, "")  # nothing was ever written
    journals.write(path, journals.troubled())
    await reader.refresh()
    summary = reader.summaries["shop"]
    assert summary.rollout is not None
    assert (summary.rollout.standing, summary.rollout.version) == ("unfinished", "2.0")
    assert summary.versions["web1"].version == "2.0"
    journals.write(path, journals.healthy(), application="cart")
    await reader.refresh()
    assert reader.summaries["shop"] is summary  # it is not read again
    assert reader.summaries["cart"].rollout is None
    versions = reader.summaries["cart"].versions
    assert {node: known.version for node, known in versions.items()} == dict.fromkeys(versions, "2.0")
    assert list(versions) == ["web1", "web2", "web3"]
    path.rename(tmp_path / "old.db")
    journals.write(path, journals.healthy(), application="wiki")
    await reader.refresh()
    assert list(reader.summaries) == ["wiki"]
    reader.close()


async def test_a_rollout_that_runs_is_followed_to_its_end(tmp_path: Path) -> None:
    path, records = tmp_path / "journal.db", journals.healthy()
    entry = journals.write(path, records[:20], began=time.time())
    reader = JournalReader(path)
    await reader.refresh()
    assert (rollout := reader.summaries["shop"].rollout) is not None
    assert rollout.standing == "running"
    with Journal(path) as journal:
        for record in records[20:-1]:
            journal.append(entry, record)
        await reader.refresh()
        assert (rollout := reader.summaries["shop"].rollout) is not None
        assert rollout.done == 3
        journal.end(entry, records[-1], "healthy", "")
    await reader.refresh()
    assert reader.summaries["shop"].rollout is None
    reader.close()


async def test_a_journal_that_cannot_be_read_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"no database" * 100)
    path.chmod(0o600)
    reader = JournalReader(path)
    await reader.refresh()
    assert "journal.db" in reader.problem
    path.unlink()
    journals.write(path, journals.healthy())
    await reader.refresh()
    assert (reader.problem, list(reader.summaries)) == ("", ["shop"])
    reads = list[str]()
    monkeypatch.setattr(journal_reader, "_summarize", lambda _, name: reads.append(name))
    await reader.refresh()
    assert reads == []
    reader.close()
