"""Snapshots of the page of a node."""

from dataclasses import replace

import pytest

from backends.model import Sessions
from orchestrator.journal.node_entries import NodeEntry
from tests.console.conftest import SnapshotCheck, sees, silence, sizes, small, types
from tests.console.detail_values import stream
from tests.console.frozen_console import EPOCH, TROUBLED, FrozenBalancer, FrozenConsole, session_of
from tests.support.fake_node import FakeHost

SCENE = replace(TROUBLED, silent="")
LOG = (
    "Nov 29 09:12:01 systemd[1]: Started shop.service - The shop.",
    "Nov 29 09:12:01 shop[812]: listening on 10.0.0.11:8080",
    *(f"Nov 29 09:12:{second:02} shop[812]: GET /cart 200 {second % 7} ms" for second in range(2, 58)),
    "Nov 29 09:12:58 shop[812]: \x1b[31mERROR\x1b[0m the database does not answer: connection refused "
    "(db1.example.com:5432), will try again in 2 s; 17 requests wait for a connection of the pool meanwhile",
    "Nov 29 09:13:00 shop[812]: connected to db1.example.com:5432",
)
ENTRIES = (
    NodeEntry(14, EPOCH - 3_600, "upgrade 1.4.2 → 1.5.0", "upgraded", False, "ann@bastion", "release 1.5"),
    NodeEntry(13, EPOCH - 9_000, "shell on web1", "healthy", False, "bob@bastion"),
    NodeEntry(12, EPOCH - 90_000, "drain web1", "healthy", False, "bob@bastion", "disk swap, OPS-4711"),
    NodeEntry(
        9,
        EPOCH - 200_000,
        "upgrade 1.4.1 → 1.4.2",
        "failed",
        True,
        "ann@bastion",
        error="verify: not healthy within 60 s: 503",
    ),
)


def console(entries: tuple[NodeEntry, ...] = ENTRIES) -> FrozenConsole:
    """On a node that has written a log."""
    session = session_of(SCENE)
    for node in session.application.nodes:
        assert isinstance(node.host, FakeHost)
        node.host.node.log.write(*LOG)
        node.host.node.pid = 812
    session.work_log.node_entries = lambda node: list(entries)  # type: ignore[method-assign]
    return FrozenConsole(SCENE, session)


def test_state(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(console, "home", "enter", sees("● live", "rotation"))


@sizes
def test_sessions(matches_snapshot: SnapshotCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(balancer: FrozenBalancer, backend: str, server: str, limit: int) -> Sessions:
        ages = (4210, 31, 2) if balancer.name == "lb1" else (7, None)
        clients = [f"10.0.{number}.9:{40_000 + number}" for number in range(len(ages))]
        clients[-1] = "[2001:db8:85a3::8a2e:370:7334]:54321"
        found = zip(ages, clients, strict=True)
        return Sessions(len(ages), tuple(stream(age, balancer.name, client) for age, client in found))

    monkeypatch.setattr(FrozenBalancer, "sessions", read)
    assert matches_snapshot(console, "end", "enter", "2", sees("1h10", "7334"))


def test_checks(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(console, "home", "enter", "3", sees("as in a rollout"))


def test_journal(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(console, "home", "enter", "5", sees("OPS-4711", "none since"))


def test_log(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(console, "home", "l", sees("connected to db1", "60 lines · follows"))


@small
def test_search_in_the_log(matches_snapshot: SnapshotCheck) -> None:
    acts = ("slash", types("get"), "enter", sees("56 with 'get'"), "N")
    assert matches_snapshot(console, "home", "l", sees("connected to db1"), *acts, silence)
