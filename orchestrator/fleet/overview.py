"""The overview of all applications: it reads everything that their rows show, and changes nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.protocols import Clock
from orchestrator.adapters import AdapterFactory
from orchestrator.background import keep_running
from orchestrator.events.actor import ROLLDECK
from orchestrator.events.events import Record
from orchestrator.events.state import RolloutState
from orchestrator.fleet.journal_reader import JournalReader, JournalSummary
from orchestrator.fleet.member import Member
from orchestrator.fleet.published import PublishedRollouts
from orchestrator.fleet.rollout_line import RolloutLine, line_of_state
from orchestrator.fleet.row import ApplicationRow
from orchestrator.live.poller import BalancerView, LiveView
from orchestrator.live.shared_poller import SharedPoller
from orchestrator.local.follower import JournalFollower
from orchestrator.session.active_rollout import ActiveRollout
from orchestrator.session.consul import ConsulStatus
from orchestrator.settings import Settings

JOURNAL_INTERVAL_S = 1.0  # seconds between two looks at the journal
NODES_INTERVAL_S = 0.2  # seconds between two searches for applications whose servers have changed
RETRY_INTERVAL_S = 10.0  # seconds before load balancers are asked for again after a failure
VERSION_INTERVAL_S = 0.25  # seconds between two nodes whose version is read in the background: one costs 5 ms

_NOTHING = JournalSummary()


class FleetOverview:
    """Keeps the rows of all applications while `run` runs.

    Args:
        settings: of all applications.
        journal: the journal's file.
        clock: the time.
        follower: follows the rollouts of this machine, which the caller runs; None to read them only as they
            were in the journal last.
        interval: seconds between the beginnings of two polls of one load balancer.
        version_batch: the number of nodes whose running versions are read at a time.

    Attributes:
        journal: as it was given.
        members: the applications, by name.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Path,
        clock: Clock,
        *,
        follower: JournalFollower | None = None,
        interval: float = 1.0,
        version_batch: int = 1,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._version_batch = version_batch
        self._consul = Consul(settings.consul) if settings.consul is not None else None
        self._adapters = AdapterFactory(settings.ssh, lambda _: None, settings.file)
        self._poller = SharedPoller(self._adapters.balancer, clock, interval=interval)
        self.journal = journal
        self._journal = JournalReader(journal)
        self._local = {name: follower.rollout(name) for name in settings.apps} if follower is not None else {}
        self._defects: dict[str, str] = {}
        self.members = {name: Member(settings, name, self._consul, clock) for name in settings.apps}
        versions = {name: member.versions for name, member in self.members.items()}
        actor = follower.actor if follower is not None else ROLLDECK
        self._published = PublishedRollouts(settings, self._consul, clock, versions, actor)
        for name, local in self._local.items():
            local.subscribe(partial(self._learn, name))
        for member in self.members.values():
            if member.settings.load_balancers is None:
                member.live = self._poller.add(settings.haproxy_of(member.name), member.settings.backends)

    async def close(self) -> None:
        """Close everything that was opened."""
        self._journal.close()
        await self._adapters.close()
        if self._consul is not None:
            await self._consul.close()

    async def run(self) -> None:
        """Read until cancelled; what goes wrong becomes part of the rows, never an exception."""
        works = {
            "polling the load balancers": self._poller.run,
            "reading the journal": self._read_journal,
            "finding load balancers": self._find_balancers,
            "finding nodes": self._find_nodes,
            "reading versions": self._read_versions,
        }
        if self._published.is_shared:
            works["following rollouts of other machines"] = self._published.run
        async with asyncio.TaskGroup() as group:
            for name, work in works.items():
                group.create_task(keep_running(name, work, self._report), name=name)

    def _report(self, text: str) -> None:
        self._defects[text] = text

    # -- what is shown ------------------------------------------------------------------------

    def rows(self) -> tuple[ApplicationRow, ...]:
        """Return the rows of all applications, in the order of the configuration."""
        now = self._clock.time()
        return tuple(
            member.row(self._journal.summaries.get(name, _NOTHING), self.running(name), now)
            for name, member in self.members.items()
        )

    def standings(self) -> Sequence[tuple[str, int, str]]:
        """Return what tells whether any rollout has begun, has gone a step further, or asks; it is cheap."""
        return [
            (name, local.last_seq, local.state.phase) for name, local in self._local.items() if local.running
        ]

    def running_rows(self) -> tuple[ApplicationRow, ...]:
        """Return the rows of applications with a rollout that runs, those that wait for an answer first."""
        now = self._clock.time()
        found = [
            member.row(self._journal.summaries.get(name, _NOTHING), line, now)
            for name, member in self.members.items()
            if (line := self.running(name)) is not None
        ]
        return tuple(sorted(found, key=lambda row: row.attention))

    def states(self) -> Mapping[str, RolloutState]:
        """Return the rollouts of this machine that run or ran last, by application."""
        return {name: local.state for name, local in self._local.items() if local.entry is not None}

    def last_result(self, application: str) -> str:
        """Return how the last rollout that was seen to run here has ended; empty without an end."""
        local = self._local.get(application)
        return local.state.ended.result if local is not None and local.state.ended is not None else ""

    def time(self) -> float:
        """Return seconds since 1970."""
        return self._clock.time()

    def monotonic(self) -> float:
        """Return the time of the load balancers' views, in seconds."""
        return self._clock.monotonic()

    def running_rollout(self, application: str) -> ActiveRollout | None:
        """Return the rollout of an application that is seen to run, to be controlled; None without one."""
        local = self._local.get(application)
        if local is not None and local.running:
            return local
        return self._published.running(application, local)

    def running(self, application: str) -> RolloutLine | None:
        """Return the same in one line."""
        local = self._local.get(application)
        if local is not None and local.entry is not None and local.running:
            return line_of_state(local.state, local.entry.operator, local.entry.host, local.entry.id)
        return self._published.line(application, local)

    def known_versions(self, application: str) -> Mapping[str, str]:
        """Return the version of each node of an application, as far as it is known."""
        journal = self._journal.summaries.get(application, _NOTHING)
        return self.members[application].known_versions(journal.versions)

    def view(self, application: str) -> LiveView | None:
        """Return the live view of an application; None until its load balancers are known."""
        return self.members[application].live

    def balancers(self) -> Sequence[BalancerView]:
        """Return the load balancers of all applications, each once, as any application sees it."""
        found: dict[str, BalancerView] = {}
        for member in self.members.values():
            for balancer in member.live.view.instances if member.live is not None else ():
                known = found.get(balancer.name)
                # An application whose backend is missing sees no data where the others do.
                if known is None or (known.state != "live" and balancer.state == "live"):
                    found[balancer.name] = balancer
        return tuple(found.values())

    @property
    def knows_versions(self) -> bool:
        """Whether the running version of every node that has been found was read once."""
        return all(member.knows_versions for member in self.members.values())

    @property
    def problem(self) -> str:
        """What is wrong with the journal, and defects of our own; else empty."""
        return "; ".join(filter(None, (self._journal.problem, *self._defects.values())))

    @property
    def consul_status(self) -> ConsulStatus | None:
        """The state of Consul, where rollouts of other machines are seen; None where they are not."""
        return self._published.status

    # -- reading ------------------------------------------------------------------------------

    def _learn(self, application: str, record: Record) -> None:
        self.members[application].versions.learn(record, self._local[application].state.version)

    async def _read_journal(self) -> None:
        while True:
            running = [name for name, local in self._local.items() if local.running]
            await self._journal.refresh(running)
            await self._clock.sleep(JOURNAL_INTERVAL_S)

    async def _find_balancers(self) -> None:
        """Find the load balancers that are in Consul."""
        while unknown := [member for member in self.members.values() if member.live is None]:
            for member in unknown:
                try:
                    haproxy = await self._settings.find_haproxy(member.name, self._consul)
                except (BackendError, ConfigError) as error:
                    member.problem = str(error)
                else:
                    member.problem = ""
                    member.live = self._poller.add(haproxy, member.settings.backends)
            await self._clock.sleep(RETRY_INTERVAL_S)

    async def _find_nodes(self) -> None:
        """Resolve the nodes of applications whose servers have changed, one application after the other."""
        while True:
            for member in self.members.values():
                if member.needs_nodes:
                    await member.resolve_nodes(self._adapters)
                    await asyncio.sleep(0)
            await self._clock.sleep(NODES_INTERVAL_S)

    async def _read_versions(self) -> None:
        """Read the running versions slowly: the first nodes of all applications, then the next ones."""
        size = self._version_batch
        while True:
            first = 0
            while members := [member for member in self.members.values() if len(member.nodes) > first]:
                for member in members:
                    await member.read_versions(member.nodes[first : first + size])
                    await self._clock.sleep(VERSION_INTERVAL_S if size == 1 else 0)
                first += size
            await self._clock.sleep(VERSION_INTERVAL_S)
