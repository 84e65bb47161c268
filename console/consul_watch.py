"""Consul while a session is open: whether it answers, and what of the inventory is not as it was."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Literal

from backends.base import Clock
from backends.consul.client import Consul
from backends.consul.services import ConsulService, instances
from backends.consul.settings import NAME
from backends.errors import BackendError, ConfigError
from orchestrator.events import Bus, Noted
from widgets.model import InstanceLine

PING = 2.0  # seconds between two looks whether it answers: a blocking query would notice late
WAIT = 30.0  # seconds that one look at the inventory may block; Consul sends all of it again after that
PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds before it is asked again that could not be asked


class ConsulWatch:
    """Looks, tells, and changes nothing: a plan is not to change under an operator's feet.

    Args:
        consul: is asked.
        inventory: the service that the nodes are instances of; None when they come from elsewhere.
        names: the session's nodes.
        clock: the time.
        bus: carries what is told.
        at_work: nodes that are worked on now: many deregister when they are stopped.
    """

    def __init__(
        self,
        consul: Consul,
        inventory: ConsulService | None,
        names: Collection[str],
        clock: Clock,
        bus: Bus,
        at_work: Callable[[], Collection[str]],
    ) -> None:
        self._consul = consul
        self._inventory = inventory
        self._names = dict.fromkeys(names)  # in their order, and quick to look up: there may be thousands
        self._clock = clock
        self._bus = bus
        self._at_work = at_work
        self._answered = 0.0  # monotonic; 0 before the first answer
        self._why = ""  # it does not answer
        self._told: frozenset[str] = frozenset()  # differences that have been said

    def line(self) -> InstanceLine:
        """For the header."""
        if not self._answered:
            return InstanceLine(NAME, "connecting", "", 0, self._why)
        state: Literal["stale", "live"] = "stale" if self._why else "live"
        return InstanceLine(NAME, state, "", self._clock.monotonic() - self._answered, self._why)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ping())
            if self._inventory is not None:
                tasks.create_task(self._follow(self._inventory))

    async def _ping(self) -> None:
        while True:
            try:
                await self._consul.leader()
                self._answered, self._why = self._clock.monotonic(), ""
            except (BackendError, ConfigError) as error:
                self._why = getattr(error, "problem", str(error))
            await self._clock.sleep(PING)

    async def _follow(self, inventory: ConsulService) -> None:
        index, failed = 0, 0
        while True:
            try:
                index, found = await instances(self._consul, inventory, index, WAIT)
            except (BackendError, ConfigError):
                index = 0
                await self._clock.sleep(PAUSES[min(failed, len(PAUSES) - 1)])
                failed += 1
                continue
            failed = 0
            self._compare(found)

    def _compare(self, found: Collection[str]) -> None:
        """Say what is new among the differences; one that has gone may be said again."""
        at_work = set(self._at_work())
        gone = {name: f"Consul does not have {name} any more" for name in self._names if name not in found}
        new = {
            name: f"Consul has {name} now, which is not known here"
            for name in found
            if name not in self._names
        }
        if gone and not found:
            gone = {"": "Consul has no instance at all any more: it may have lost its data"}
        differences = {name: text for name, text in {**gone, **new}.items() if name not in at_work}
        for name, text in differences.items():
            if name not in self._told:
                with contextlib.suppress(
                    Exception
                ):  # a journal that cannot be written stops who works, not us
                    self._bus.emit(
                        Noted(node=name, text=f"{text}; plans keep the nodes that they were made of")
                    )
        self._told = frozenset(differences)
