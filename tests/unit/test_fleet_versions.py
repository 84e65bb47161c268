"""The versions of a fleet: what a node said last, what rollouts have proven since, and the journal."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backends.local_machine import SystemClock
from backends.node_state import HealthResult
from console.config.config_file import load
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    AnyEvent,
    NodeRolledBack,
    NodeStarted,
    NodeUpgraded,
    Record,
    Waiting,
)
from orchestrator.fleet.overview import FleetOverview
from orchestrator.journal.store import Journal
from orchestrator.live.versions import VersionTracker
from orchestrator.local.follower import JournalFollower
from tests.support.fake_fleet import World
from tests.support.virtual_time import EPOCH, VirtualClock
from tests.unit import journals

CONFIG = """
[haproxy.lb1]
socket = "unix:///nowhere/lb1.sock"
[apps.shop]
backends = ["shop"]
service = { kind = "systemd", name = "shop" }
install = { kind = "apt", package = "shop" }
"""
BAKING = Waiting(node="web1", step="verify", reason="is watched", remaining_s=3.0, baking=True)


async def test_the_versions_of_a_row_follow_the_events_of_a_rollout(tmp_path: Path) -> None:
    file, path = tmp_path / "config.toml", tmp_path / "journal.db"
    file.write_text(CONFIG)
    file.chmod(0o600)
    follower = JournalFollower(path, SystemClock(), Actor("ann@here", "console"))
    overview = FleetOverview(load(file), path, SystemClock(), follower=follower)
    names, began = ["web1", "web2"], time.time()
    entry = journals.header(host=socket.gethostname(), pid=os.getpid(), began=began)
    with Journal(path) as journal:
        number = journal.begin(entry)

        async def versions(seq: int, *events: AnyEvent) -> tuple[tuple[str, int], ...]:
            for event in events:
                journal.append(number, Record(seq, time.time(), event))
            await follower.look()
            return overview.rows()[0].versions

        started = journals.started(nodes=names, batches=[[name] for name in names], before={})
        assert await versions(1, started) == ()
        await versions(2, NodeStarted(node="web1", version="2.0", originals=[]))
        # It is in rotation, so it was proven; its bake may take long.
        assert await versions(3, BAKING) == (("2.0", 1),)
        await versions(4, NodeUpgraded(node="web1", duration_s=1.0, version="2.0"))
        done = NodeUpgraded(node="web2", duration_s=1.0, version="2.0")
        assert await versions(5, done) == (("2.0", 2),)
        back = NodeRolledBack(node="web2", duration_s=1.0, version="1.0")
        assert await versions(6, back) == (("1.0", 1), ("2.0", 1))
        # The end, and the journal, change nothing.
        journal.end(number, Record(7, time.time(), journals.ended("healthy")), "healthy", "")
        await follower.look()
        await overview._journal.refresh()
    assert overview.rows()[0].versions == (("1.0", 1), ("2.0", 1))
    follower.close()
    await overview.close()


class Answer:
    """A health check that says this version, once something else has happened."""

    def __init__(self, version: str | None) -> None:
        self.version = version
        self.meanwhile: list[tuple[VersionTracker, Record]] = []

    async def check(self) -> HealthResult:
        for versions, record in self.meanwhile:
            versions.learn(record, "")
        return HealthResult(True, "200 OK", self.version)

    async def read_version(self) -> str | None:
        return (await self.check()).version


@pytest.mark.virtual_time
async def test_the_newest_source_of_a_version_counts() -> None:
    def done(at: float, version: str) -> Record:
        return Record(1, EPOCH + at, NodeUpgraded(node="web1", duration_s=1.0, version=version))

    clock, health = VirtualClock(), Answer("1.0")
    node = replace(World(nodes=1).application.nodes[0], health=health)
    versions = VersionTracker(clock, sees=True)
    await clock.sleep(10)
    await versions.read([node])
    versions.learn(done(5, "0.9"), "")  # from before that; it is read late
    assert (versions.by_node, versions.known_at("web1")) == ({"web1": "1.0"}, EPOCH + 10)
    versions.learn(done(11, "2.0"), "")
    assert (versions.by_node, versions.known_at("web1")) == ({"web1": "2.0"}, EPOCH + 11)
    health.meanwhile = [(versions, done(12, "3.0"))]
    await versions.read([node])  # the answer may be from before the event
    assert versions.by_node == {"web1": "3.0"}
    health.meanwhile = []
    # The clock of another machine may be ahead: what the node says afterwards counts all the same.
    versions.learn(done(500, "4.0"), "")
    await versions.read([node])
    assert (versions.by_node, versions.known_at("web1")) == ({"web1": "1.0"}, EPOCH + 10)
    health.version = None
    await versions.read([node])
    assert versions.by_node == {}
