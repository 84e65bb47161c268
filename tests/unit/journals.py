"""Journals of rollouts that were run on fakes in virtual time."""

import asyncio
import os
import socket
import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orchestrator.events.actor import Actor
from orchestrator.events.events import AnyEvent, Record, Result, RolloutEnded, RolloutStarted, Traffic
from orchestrator.journal.entries import EntryHeader
from orchestrator.journal.store import Journal
from tests.support.fake_fleet import World, answer
from tests.support.virtual_time import run

PLAN: dict[str, Any] = {
    "kind": "plan",
    "application": "shop",
    "version": "2.0",
    "batches": [["web1", "web2"], ["web3"]],
    "nodes": [{"node": "web1"}, {"node": "web2"}, {"node": "web3"}],
    "findings": [{"severity": "warning", "subject": "lb1", "text": "its clock is late"}],
}


@cache
def healthy() -> Sequence[Record]:
    """Three nodes, one after the other, with sessions to wait for and a bake."""

    async def scenario() -> list[Record]:
        world = World(nodes=3, bake_time=5, verdict="off", trial=0)  # tests add verdicts of their own
        for server in world.servers("web1"):
            server.leaving = [3.0, 7.0]
        await world.upgrade()
        return world.records

    return run(scenario())


@cache
def troubled() -> Sequence[Record]:
    """Two at a time: one is sick and is skipped, after a pause; the last one is left alone."""

    async def scenario() -> list[Record]:
        world = World(
            nodes=3, interactive=True, verdict="off", serial=2, bake_time=5, verify_timeout=20, trial=0
        )
        world.nodes["web2"].sick = frozenset({"2.0"})
        for server in world.servers("web1"):
            server.leaving = [3.0, 7.0, 9.0]
        world.at(5, lambda: world.control.pause(Actor("ann"), "lunch"))
        world.at(25, lambda: world.control.resume(Actor("ann")))
        async with asyncio.TaskGroup() as group:
            group.create_task(world.upgrade())
            group.create_task(_decide(world))
        return world.records

    return run(scenario())


async def _decide(world: World) -> None:
    await answer(world, "retry")
    await answer(world, "abort")


def with_traffic(records: Sequence[Record], errors: int = 0) -> list[Record]:
    """As HAProxy's counters would add it, before the end."""
    *rest, last = records
    served = Traffic(served=120_345, errors_5xx=errors, duration_s=61.5)
    return [*rest, Record(last.seq, last.at, served), Record(last.seq + 1, last.at, last.event)]


def numbered(*events: AnyEvent, began: float = 1_700_000_000.0) -> list[Record]:
    """One event a second."""
    return [Record(number, began + number, event) for number, event in enumerate(events, 1)]


def write(path: Path, records: Sequence[Record], **header: Any) -> int:
    """An entry of these records, with the end that the last one gives it. Returns its id.

    Args:
        path: of the journal.
        records: of the entry.
        **header: fields of `EntryHeader` that are to be others than here.
    """
    fields = {
        "kind": "upgrade",
        "application": "shop",
        "version": "2.0",
        "operator": "me@here",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "began": records[0].at if records else 1_700_000_000.0,
        "plan": PLAN,
        "follows": None,
    }
    with Journal(path) as journal:
        entry = journal.begin(EntryHeader(**{**fields, **header}))
        for record in records:
            if isinstance(record.event, RolloutEnded):
                journal.end(entry, record, record.event.result, record.event.reason)
            else:
                journal.append(entry, record)
    return entry


def header(**changes: Any) -> EntryHeader:
    """Of an upgrade by somebody elsewhere."""
    fields: dict[str, Any] = {
        "kind": "upgrade",
        "application": "shop",
        "version": "2",
        "operator": "me",
        "host": "here",
        "pid": 1,
        "began": 1.0,
        "plan": {},
    }
    return EntryHeader(**(fields | changes))


def started(**changes: Any) -> RolloutStarted:
    """Of one node."""
    fields: dict[str, Any] = {
        "application": "shop",
        "version": "2.0",
        "nodes": ["web1"],
        "batches": [["web1"]],
        "operator": "me@here",
        "before": {"web1": "1.0"},
    }
    return RolloutStarted(**(fields | changes))


def ended(result: Result = "degraded", **changes: Any) -> RolloutEnded:
    """Return the end of a rollout, in which web1 failed unless it is healthy."""
    names = (
        "upgraded",
        "failed",
        "skipped",
        "interrupted",
        "pending",
        "out_of_rotation",
        "unreachable_balancers",
    )
    fields: dict[str, Any] = {name: [] for name in names} | {"reason": "", "duration_s": 1.0}
    if result != "healthy":
        fields |= {"failed": ["web1"], "reason": "failed: web1"}
    return RolloutEnded(result=result, **fields | changes)


def change(path: Path, statement: str) -> None:
    """As somebody does who has sqlite3 and no shame."""
    with sqlite3.connect(path) as other:
        other.execute(statement)
    other.close()


def three(path: Path) -> Path:
    """A healthy rollout, a troubled one, and one whose process was killed after nine events."""
    path.write_bytes(_three())
    path.chmod(0o600)
    return path


@cache
def _three() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        for number, records in enumerate((healthy(), troubled(), healthy()[:9]), 1):
            write(path, records, operator="ann@ops")
            if number < 3:
                with Journal(path) as journal:
                    journal.seal(number)
        return path.read_bytes()
