"""`rolldeck calibrate`: sham rollouts over polls of an application, and the file that keeps the result."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from urllib.parse import quote

import msgspec

from backends.errors import BackendError
from backends.file_trust import Untrusted
from backends.haproxy.columns import Name
from backends.local_files import open_own, write_private
from backends.model import Snapshot
from backends.protocols import Clock
from backends.untrusted import decode
from orchestrator.canary.calibration import Calibration, ShamRollouts
from orchestrator.canary.poll import FAST_INTERVAL_S, SLOW_INTERVAL_S
from orchestrator.canary.signals import PollSeries, is_sticky, read_lifetimes
from orchestrator.planning.application import Application
from orchestrator.planning.mapping import map_servers

MAX_AGE_S = 90 * 86_400.0  # an older calibration says nothing about the service of today
_MAX_BYTES = 65_536


def calibration_path(journal: Path, application: str) -> Path:
    """Return the file that keeps an application's calibration: in a folder beside the journal."""
    return journal.parent / "calibration" / f"{quote(application, safe='')}.json"


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the file, and make its folder. Raises Untrusted or OSError, as `open_own` does."""
    os.close(open_own(path, os.O_WRONLY | os.O_CREAT))  # checks whose it is
    write_private(path, msgspec.json.encode(calibration), replace=True)


def read_m(path: Path, now: float) -> float | None:
    """Return the size of bursts that was learned; None if it is not known, too old, or cannot be read.

    Without it a verdict is only slower.

    Args:
        path: the file.
        now: seconds since 1970.
    """
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as stream:
            found = decode(stream.read(_MAX_BYTES), Calibration)
    except (OSError, Untrusted, ValueError):
        return None
    return found.m if 0 <= now - found.at <= MAX_AGE_S else None


class Calibrator:
    """Polls the load balancers of an application, as often as a rollout does, and runs sham rollouts.

    Nothing is changed.
    """

    def __init__(self, application: Application, clock: Clock, random: Random) -> None:
        """Begin without a poll.

        Args:
            application: with its nodes and load balancers.
            clock: the time.
            random: chooses the nodes that are labeled, and when.
        """
        self._application = application
        self._clock = clock
        self._random = random
        self._series = PollSeries(self._find_nodes, lambda _: "old")
        self._shams: ShamRollouts | None = None
        self._first: dict[str, Snapshot] = {}
        self._began = clock.monotonic()

    @property
    def alarms(self) -> Sequence[str]:
        """Why the verdict was "bad", of each false alarm until now."""
        return self._shams.alarms if self._shams is not None else ()

    @property
    def calibration(self) -> Calibration:
        """What is known until now."""
        at, duration_s = self._clock.time(), self._clock.monotonic() - self._began
        if self._shams is None:
            return Calibration(at=at, duration_s=round(duration_s, 1))
        return self._shams.calibration(at, duration_s)

    async def run(self, on_sham: Callable[[Calibration], None]) -> None:
        """Poll until cancelled, each load balancer by itself.

        Args:
            on_sham: is called after each sham rollout.

        Raises:
            BackendError: a load balancer could not be read at the beginning.
        """
        self._began = self._clock.monotonic()
        balancer_group = self._application.balancer_group
        self._first = await balancer_group.read_all()
        self._begin()
        async with asyncio.TaskGroup() as group:
            for name in balancer_group.balancers:
                group.create_task(self._follow(name, on_sham), name=f"calibrate by {name}")

    def _begin(self) -> None:
        found = [(snapshot, self._find_nodes(snapshot)) for snapshot in self._first.values()]
        lifetimes = [lifetime for pair in found for lifetime in read_lifetimes(*pair)]
        sticky = any(is_sticky(snapshot, {backend for backend, _ in nodes}) for snapshot, nodes in found)
        names = [node.name for node in self._application.nodes]
        self._shams = ShamRollouts(self._application.canary, lifetimes, names, self._random, sticky)

    async def _follow(self, name: str, on_sham: Callable[[Calibration], None]) -> None:
        while True:
            with suppress(BackendError):  # a poll that is missing is no alarm
                snapshot = await self._application.balancer_group.read(name)
                self._add(snapshot, on_sham)
            fast = self._shams is not None and self._shams.is_fast(self._clock.monotonic())
            await self._clock.sleep(FAST_INTERVAL_S if fast else SLOW_INTERVAL_S)

    def _add(self, snapshot: Snapshot, on_sham: Callable[[Calibration], None]) -> None:
        if self._shams is None:
            return
        before = self._shams.shams + self._shams.blind
        self._shams.add(self._series.add(snapshot, self._clock.monotonic()))
        if self._shams.shams + self._shams.blind != before:
            on_sham(self.calibration)

    def _find_nodes(self, snapshot: Snapshot) -> Mapping[Name, str]:
        return map_servers(self._application.nodes, snapshot.servers, self._application.match)
