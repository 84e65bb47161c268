"""Rollouts of other processes are followed in the journal: each event once, and to their end."""

import os
import socket
import time
from pathlib import Path

import msgspec

from backends.local_machine import SystemClock
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    AnyEvent,
    NodeNote,
    Record,
    RollbackRefused,
    RollbackStarted,
    RolloutEnded,
)
from orchestrator.journal.entries import EntryHeader
from orchestrator.journal.store import Journal
from orchestrator.local.control_socket import socket_path
from orchestrator.local.follower import MAX_ENTRIES, JournalFollower
from tests.unit import journals

PLAN = {
    "batches": [["web1"]],
    "nodes": [{"node": "web1", "wanted": "2.0"}],
    "policy": {"serial": 1, "on_failure": "rollback-all"},
}


def header(**changes: object) -> EntryHeader:
    """Of a rollout of this process."""
    fields = {"host": socket.gethostname(), "pid": os.getpid(), "began": time.time(), "plan": PLAN}
    return journals.header(**(fields | changes))


def ended(result: str, **lists: list[str]) -> RolloutEnded:
    fields: dict[str, object] = dict.fromkeys(
        ("upgraded", "failed", "skipped", "interrupted", "pending", "out_of_rotation"), ()
    )
    fields |= {"result": result, "reason": "", "unreachable_balancers": (), "duration_s": 1.0, **lists}
    return msgspec.convert(fields, RolloutEnded)


class Desk:
    """A journal with somebody who follows it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.journal = Journal(self.path)
        self.follower = JournalFollower(self.path, SystemClock(), Actor("ann@here", "console"))
        self.rollout = self.follower.rollout("shop")
        self.seen: list[Record] = []
        self.rollout.subscribe(self.seen.append)
        self._seq = 0

    def write(self, entry: int, *events: AnyEvent) -> None:
        for event in events:
            self._seq += 1
            self.journal.record(entry, "upgrade", Record(self._seq, time.time(), event))

    async def look(self) -> None:
        self.follower._looked_at = -100.0
        await self.follower.look()


async def test_each_event_is_read_once_and_older_rollouts_are_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    old = desk.journal.begin(header(began=time.time() - 50))
    desk.write(old, journals.started(), ended("healthy"))
    gone = desk.journal.begin(header(pid=2**22 - 7))  # its process was killed
    desk.write(gone, journals.started())
    await desk.look()
    assert (desk.rollout.entry, desk.rollout.running) == (None, False)
    entry = desk.journal.begin(header())
    desk.write(entry, journals.started())
    await desk.look()
    assert desk.rollout.running
    assert desk.rollout.plan is not None
    assert list(desk.rollout.state.nodes) == ["web1"]
    desk.write(entry, *(NodeNote(node="web1", text=str(number)) for number in range(3)))
    for _ in range(3):
        await desk.look()
    assert [record.seq for record in desk.seen] == [4, 5, 6, 7]
    desk.write(entry, ended("healthy", upgraded=["web1"]))
    await desk.look()
    assert not desk.rollout.running
    assert not desk.rollout.interrupted
    assert desk.rollout.state.ended is not None


async def test_a_process_that_is_gone_leaves_its_rollout_interrupted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.look()
    entry = desk.journal.begin(header(pid=2**22 - 7))
    desk.write(entry, journals.started())
    await desk.look()
    assert desk.rollout.interrupted
    assert "is gone" in desk.rollout.words


async def test_a_rollback_by_itself_belongs_to_the_rollout(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.look()
    path = socket_path(desk.path, "shop")
    path.parent.mkdir()
    path.touch()  # the process still listens
    entry = desk.journal.begin(header())
    desk.write(entry, journals.started(), ended("degraded", failed=["web1"]))
    await desk.look()
    assert desk.rollout.running
    desk.write(entry, RollbackStarted(rollout=entry, policy="rollback-all", nodes=["web1"]))
    back = desk.journal.begin(header(kind="rollback", follows=entry))
    desk.write(back, journals.started(kind="rollback"))
    await desk.look()
    assert desk.rollout.running
    assert desk.rollout.state.kind == "rollback"
    desk.write(back, ended("healthy", rolled_back=["web1"]))
    path.unlink()
    await desk.look()
    assert not desk.rollout.running
    assert desk.rollout.state.ended is not None
    assert desk.rollout.state.ended.failed == ["web1"]  # of the rollout itself
    assert desk.rollout.state.ended.rolled_back == ["web1"]


async def test_a_rollback_that_cannot_begin_ends_the_rollout_with_the_reason(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.look()
    path = socket_path(desk.path, "shop")
    path.parent.mkdir()
    path.touch()
    entry = desk.journal.begin(header())
    desk.write(entry, journals.started(), ended("degraded", failed=["web1"]))
    desk.write(entry, RollbackRefused(rollout=entry, reason="nobody knows the version"))
    await desk.look()
    assert not desk.rollout.running
    assert desk.rollout.state.ended is not None
    assert "nobody knows the version" in desk.rollout.state.ended.reason


async def test_a_rollout_that_runs_is_found_behind_many_later_entries(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        first = journal.begin(header())
        with journal.transaction():
            for _ in range(MAX_ENTRIES):
                later = journal.begin(header(application="cart"))
                journal.record(later, "upgrade", Record(1, time.time(), ended("healthy")))
    desk = Desk(tmp_path)
    await desk.look()
    assert desk.rollout.entry is not None
    assert desk.rollout.entry.id == first


async def test_another_file_of_that_name_is_opened_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(2):
        await desk.look()
        desk.write(desk.journal.begin(header()), journals.started())
    await desk.look()
    assert desk.rollout.running
    desk.journal.close()
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"journal.db{ending}").unlink(missing_ok=True)
    await desk.look()
    desk.journal = Journal(desk.path)
    entry = desk.journal.begin(header(version="3.0"))
    desk.write(entry, journals.started())
    await desk.look()
    assert desk.rollout.running
    assert desk.rollout.entry is not None
    assert desk.rollout.entry.version == "3.0"
    assert len(desk.rollout.records) == 1


async def test_what_cannot_be_read_is_said_until_it_can(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    entry = desk.journal.begin(header())
    desk.write(entry, journals.started())
    await desk.look()

    def fail(record: Record) -> None:
        raise LookupError("odd")

    unsubscribe = desk.rollout.subscribe(fail)
    desk.write(entry, NodeNote(node="web1", text="1"))
    await desk.look()
    assert "internal error: LookupError('odd')" in desk.rollout.problem
    unsubscribe()
    desk.write(entry, ended("healthy", upgraded=["web1"]))
    await desk.look()
    assert desk.rollout.problem == ""
    assert desk.rollout.state.ended is not None
