"""The rollouts of other machines, as Consul has them, for all applications of a fleet."""

from collections.abc import Mapping, Sequence

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError, UnreadableReply
from backends.protocols import Clock
from orchestrator.events.actor import Actor
from orchestrator.fleet.rollout_line import RolloutLine, line_of_state
from orchestrator.live.versions import VersionTracker
from orchestrator.local.rollout import LocalRollout
from orchestrator.remote.rollout import RemoteRollout, RolloutSubscriber
from orchestrator.session.consul import ConsulStatus
from orchestrator.session.links import is_same
from orchestrator.settings import Settings

INTERVAL_S = 1.0  # seconds between two reads of a rollout that runs
ROUND_S = 10  # intervals within which every other application is read once


class PublishedRollouts:
    """Reads the rollouts of other machines: those that run each second, the others one after the other.

    A blocking query for each application would need a connection to Consul for each of them.

    Args:
        settings: of all applications.
        consul: where there is one.
        clock: the time.
        versions: of the nodes of each application; rollouts of other machines change them too.
        actor: who sends requests to the rollouts.

    Attributes:
        is_shared: whether rollouts of other machines can be seen at all.
    """

    def __init__(
        self,
        settings: Settings,
        consul: Consul | None,
        clock: Clock,
        versions: Mapping[str, VersionTracker],
        actor: Actor,
    ) -> None:
        self.is_shared = consul is not None and settings.lock.kind == "consul"
        self._settings = settings
        self._consul = consul
        self._clock = clock
        self._versions = versions
        self._actor = actor
        self._rollouts: dict[str, RemoteRollout] = {}
        self._answered = 0.0  # monotonic; 0 before the first answer
        self._silence = ""  # why it does not answer

    @property
    def status(self) -> ConsulStatus | None:
        """The state of Consul, with what of it cannot be followed; None where nothing is asked of it."""
        if not self.is_shared:
            return None
        if not self._answered:
            return ConsulStatus("connecting", 0, self._silence)
        ignored = (f"{name}: {found.problem}" for name, found in self._rollouts.items() if found.problem)
        age = self._clock.monotonic() - self._answered
        return ConsulStatus("stale" if self._silence else "live", age, self._silence or next(ignored, ""))

    def running(self, application: str, local: LocalRollout | None) -> RemoteRollout | None:
        """Return the rollout of an application that runs on another machine; None without one.

        Args:
            application: its name.
            local: the rollout of this machine, which is published too, and is known to have ended sooner.
        """
        found = self._rollouts.get(application)
        return None if found is None or not found.running or is_same(local, found) else found

    def line(self, application: str, local: LocalRollout | None) -> RolloutLine | None:
        """Return the same in one line."""
        found = self.running(application, local)
        if found is None or found.seen is None:
            return None
        return line_of_state(found.state, found.seen.header.operator, found.seen.header.host)

    async def run(self) -> None:
        """Read until cancelled."""
        names = list(self._settings.apps)
        for name in names:  # all of them once, to begin with
            await self._read(name)
        size = -(-len(names) // ROUND_S)
        while True:
            for first in range(0, len(names), size):
                running = [name for name, found in self._rollouts.items() if found.running]
                await self._read_all([*running, *names[first : first + size]])
                await self._clock.sleep(INTERVAL_S)

    async def _read_all(self, names: Sequence[str]) -> None:
        for name in dict.fromkeys(names):
            await self._read(name)

    async def _read(self, name: str) -> None:
        consul, settings = self._consul, self._settings.consul
        if consul is None or settings is None:
            return
        try:
            if name not in self._rollouts:
                subscriber = RolloutSubscriber(consul, settings.prefix, name, await settings.signer(name))
                versions = self._versions[name]
                self._rollouts[name] = RemoteRollout(subscriber, self._clock, self._actor, versions)
            await self._rollouts[name].read()
        except UnreadableReply:
            pass  # an answer; what is wrong with it is the rollout's problem
        except (BackendError, ConfigError) as error:
            self._silence = error.problem
            return
        self._answered, self._silence = self._clock.monotonic(), ""
