"""Rollouts of other machines in the rows of the fleet, by a real Consul agent."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.local_machine import SystemClock
from console.config.config_file import load
from console.fleet import running_fleet
from console.operator_identity import current_operator
from orchestrator.engine.control import RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeStarted, NodeUpgraded, StepStarted
from orchestrator.journal.store import Journal
from orchestrator.remote.publisher import RolloutPublisher
from orchestrator.remote.takeover import PublishedNode, PublishedPlan, PublishedPolicy, RolloutHeader
from tests.console.fleet_app import FleetApp
from tests.console.real_console import read
from tests.support.servers.consul import Agent, needs_consul, running_consul
from tests.unit import journals

pytestmark = needs_consul

CONFIG = """
[haproxy.lb1]
socket = "unix:///nowhere/lb1.sock"
[consul]
address = "{address}"
timeout = 1
[lock]
kind = "consul"
[journal]
path = "{journal}"
"""
APPLICATION = """
[apps.{name}]
backends = ["{name}"]
service = {{ kind = "systemd", name = "{name}" }}
install = {{ kind = "apt", package = "{name}" }}
"""
NODES = [PublishedNode(node=name, wanted="2.0") for name in ("web1", "web2")]
ANN = Actor("ann@ops")
SEEN_WITHIN_S = 60.0  # the machine may be busy


class Publication:
    """The rollout of an application as another machine publishes it; its events are emitted by hand."""

    def __init__(self) -> None:
        self.bus = EventBus(SystemClock())
        self.control = RolloutControl(SystemClock(), self.bus)

    @asynccontextmanager
    async def published(self, agent: Agent, application: str, **header: Any) -> AsyncIterator[None]:
        consul = Consul(ConsulSettings(address=agent.address))
        lock = ConsulLock(consul, f"rolldeck/{application}/lock", SystemClock())
        assert await lock.try_acquire(b"{}")
        fields: dict[str, Any] = {"operator": ANN.name, "host": "ops", "pid": 42, **header}
        head = RolloutHeader(
            kind="upgrade",
            application=application,
            version="2.0",
            began=time.time(),
            plan=PublishedPlan(batches=[], nodes=NODES, policy=PublishedPolicy(serial=1)),
            fence=lock.fencing_token,
            **fields,
        )
        publisher = RolloutPublisher(consul, "rolldeck", head, lambda: lock.session, self.bus, self.control)
        try:
            async with publisher.working():
                yield
        finally:
            await lock.release()
            await consul.close()


class Screen:
    """The fleet as an operator sees it."""

    def __init__(self, pilot: Pilot[str]) -> None:
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        return read(self._pilot.app.screen).splitlines()

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def sees(self, line: str, *words: str, missing: str = "\0") -> None:
        """Wait for a line that begins so, with all of these words and without another."""

        def has() -> bool:
            found = next((text for text in self.lines if text.lstrip(" ▸").startswith(line)), "")
            return all(word in found for word in words) and missing not in found

        try:
            async with asyncio.timeout(SEEN_WITHIN_S):
                while not has():
                    await self._pilot.pause(0.05)
        except TimeoutError:
            raise AssertionError(f"never saw {words} in:\n" + "\n".join(self.lines)) from None


async def test_a_rollout_of_another_machine_is_in_its_row(tmp_path: Path) -> None:
    async with running_consul(tmp_path) as agent:
        file = tmp_path / "config.toml"
        text = CONFIG.format(address=agent.address, journal=tmp_path / "journal.db")
        file.write_text(text + "".join(APPLICATION.format(name=name) for name in ("bank", "cart", "shop")))
        file.chmod(0o600)
        async with running_fleet(load(file)) as fleet:
            async with FleetApp(fleet.overview).run_test(size=(120, 24)) as pilot:  # type: ignore[arg-type]
                await _watch(Screen(pilot), agent, tmp_path / "journal.db")


async def _watch(screen: Screen, agent: Agent, path: Path) -> None:
    await screen.sees("Fleet", "3 apps", "consul ●")
    rollout, nodes = Publication(), [node.node for node in NODES]
    bus, control = rollout.bus, rollout.control
    async with rollout.published(agent, "cart"):
        started = journals.started(
            application="cart", nodes=nodes, batches=[["web1"], ["web2"]], operator=ANN.name
        )
        bus.emit(started)
        bus.emit(NodeStarted(node="web1", version="2.0", originals=[]))
        bus.emit(StepStarted(node="web1", step="drain"))
        await screen.sees("cart", "1.0 ×1", "→ 2.0 0/2 · drains web1", "ann@ops")
        bus.emit(NodeUpgraded(node="web1", duration_s=3.0, version="2.0"))
        await screen.sees("cart", "2.0 ×1", "→ 2.0 1/2")
        asked = asyncio.create_task(control.request_decision("web2", "Go on?", ("continue", "abort")))
        await screen.sees("cart", "waits for you: web2", "ann@ops")
        await screen.sees("Fleet", "1 waits for you")
        control.answer(control.questions[0].id, "continue", ANN)
        await asked
        await screen.press("x", "p")
        await screen.sees("│ cart", "→ 2.0 1/2", "by ann@ops")
        await screen.press("right", "enter")
        await screen.sees("cart", f"→ 2.0 1/2 · paused by {current_operator('console').name}")
        # It shows, too, that nothing is known any more; and that it is again.
        agent.freeze()
        await screen.sees("Fleet", "consul ✗ stale")
        agent.thaw()
        await screen.sees("Fleet", "consul ●")
        bus.emit(journals.ended("healthy", upgraded=nodes))
    await screen.sees("cart", "2.0 ×1", missing="→")
    await _watch_own(screen, agent, path)


async def _watch_own(screen: Screen, agent: Agent, path: Path) -> None:
    """A rollout of this machine that has ended does not go on in its row until Consul has its end, too."""
    rollout, here = Publication(), {"host": socket.gethostname(), "pid": os.getpid()}
    started, done = journals.started(), NodeUpgraded(node="web1", duration_s=3.0, version="2.0")
    begun, end = journals.numbered(
        started, journals.ended("healthy", upgraded=["web1"]), began=time.time() - 9
    )
    entry = journals.write(path, [begun], began=time.time(), **here)
    async with rollout.published(agent, "shop", **here):
        rollout.bus.emit(started)
        rollout.bus.emit(done)
        await screen.sees("shop", "2.0 ×1", "→ 2.0 0/1")  # as the journal has it
        with Journal(path) as journal:
            journal.end(entry, end, "healthy", "")
        await screen.sees("shop", "2.0 ×1", missing="→")
