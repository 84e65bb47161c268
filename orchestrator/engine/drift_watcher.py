"""A watcher of the load balancers during a rollout: it undoes reloads, and reports external changes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from backends.errors import BackendError
from backends.model import Admin, AdminState, Server, ServerRef, Snapshot
from backends.protocols import Clock
from orchestrator.balancers.group import BalancerGroup
from orchestrator.balancers.traffic_count import Totals, TrafficCount
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.desired_state import DesiredStates
from orchestrator.engine.version_judgement import VersionJudgement
from orchestrator.events.actor import ROLLDECK
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Traffic
from orchestrator.node import OriginalState
from orchestrator.planning.server_pool import ServerPool

DRIFT_INTERVAL_S = 0.9  # between two comparisons with the desired states; the judgement polls more often
LAST_READ_TIMEOUT_S = 5.0  # for the last read, which the end of a rollout awaits


@dataclass(frozen=True, slots=True)
class Configured:
    """What HAProxy's configuration says of a server."""

    disabled: bool
    weight: int

    @classmethod
    def of(cls, server: Server) -> "Configured":
        return cls(bool(server.admin & Admin.CONFIG_MAINT), server.initial_weight)


class DriftWatcher:
    """Reads every load balancer once a second during a rollout, and more often after the return of a node.

    The judgement on the new version gets every snapshot.

    A new HAProxy process has forgotten every state that was set at run time: a node that is stopped would get
    traffic. Until all states are set again there and read back, what is read there does not count
    (`BalancerGroup.read_current`), and the rollout is paused.
    """

    def __init__(
        self,
        balancer_group: BalancerGroup,
        desired_states: DesiredStates,
        pool: ServerPool,
        control: RolloutControl,
        clock: Clock,
        bus: EventBus,
        judgement: VersionJudgement,
    ) -> None:
        self._balancer_group = balancer_group
        self._judgement = judgement
        self._comparing = asyncio.Lock()  # a pause because of a reload ends before the next one begins
        self._compared: dict[str, float] = {}  # when, in monotonic seconds
        self._desired_states = desired_states
        self._pool = pool
        self._control = control
        self._clock = clock
        self._bus = bus
        self.traffic = TrafficCount()
        self._configured: dict[ServerRef, Configured] = {}  # as it was before a reload
        self._pending_reports: dict[
            ServerRef, str
        ] = {}  # changes that were reported, until the server has its desired state again

    async def run(self) -> None:
        """Run until cancelled: each load balancer by itself, as one may not answer."""
        self._balancer_group.on_read = self._desired_states.note_read
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._balancer_group.balancers:
                    group.create_task(self._watch(name), name=f"watch {name}")
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _watch(self, name: str) -> None:
        while True:
            with suppress(BackendError):  # the step that needs it reports that
                await self._poll(name)
            await self._judgement.next_poll()

    async def _poll(self, name: str) -> None:
        moment = self._desired_states.moment
        snapshot = await self._balancer_group.read(name)
        at = self._clock.monotonic()
        self.traffic.add(snapshot)
        self._pool.add(snapshot)
        self._judgement.add(snapshot, at)
        is_reloaded = self._balancer_group.is_reloaded(snapshot)
        if not is_reloaded and at - self._compared.get(name, float("-inf")) < DRIFT_INTERVAL_S:
            return
        async with self._comparing:
            self._compared[name] = at
            if is_reloaded:
                await self._restore_states(name, snapshot)
                return
            ours = self._ours(snapshot)
            self._report_external_changes(ours, moment)
            self._configured |= {server.ref: Configured.of(server) for server in ours}

    async def count_last(self) -> None:
        """Count the traffic since the last read, once all is over; skip load balancers that do not answer."""

        async def read(name: str) -> None:
            with suppress(BackendError):
                self.traffic.add(await self._balancer_group.read(name))

        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_READ_TIMEOUT_S):
                await asyncio.gather(*map(read, self._balancer_group.balancers))

    async def _restore_states(self, name: str, snapshot: Snapshot) -> None:
        paused = self._control.paused
        self._control.pause(ROLLDECK, f"{name} was reloaded (now process {snapshot.info.pid})")
        done: list[str] = []
        try:
            for server in self._ours(snapshot):
                self._adopt_weight(server)
            while missing := [server for server in self._ours(snapshot) if self._was_lost(server)]:
                for server in missing:
                    for line in self._desired_states.commands_to_reach(server):
                        await self._balancer_group.balancers[name].write(line)
                        done.append(line)
                await self._clock.sleep(0)
                snapshot = await self._balancer_group.read(name)
            self._balancer_group.acknowledge(snapshot)
            result = f"restored: {'; '.join(done)}" if done else "everything is in its desired state"
            self._bus.emit(NodeNote(node="", text=f"{name} was reloaded; {result}"))
        finally:
            # If only this has paused the rollout, it continues; where restoring failed, that is tried again.
            if not paused and not self._control.aborting:
                self._control.resume(ROLLDECK)

    def _was_lost(self, server: Server) -> bool:
        """Return whether a reload has lost the desired state; what somebody has decided meanwhile is no loss.

        A reload forgets what takes a server out. It takes one out where the configuration has `disabled` now,
        or where a state file restores what somebody had set: that is not undone. For a server that was worked
        on, the state file may still have the maintenance of that time.
        """
        if self._desired_states.satisfied_by(server):
            return False
        ref = server.ref
        if (
            self._desired_states.worked_on(ref)
            or self._desired_states.originals[ref].admin is not AdminState.READY
        ):
            return True
        if OriginalState.of(server).admin is AdminState.READY:
            return True
        known = self._configured.get(ref)
        if server.admin & Admin.CONFIG_MAINT:
            return known is None or known.disabled
        return ref in self._desired_states.wanted

    def _adopt_weight(self, server: Server) -> None:
        """Adopt a new weight from the configuration, for a server that had the old one from there."""
        known, original = self._configured.get(server.ref), self._desired_states.originals[server.ref]
        if (
            known is not None
            and not self._desired_states.worked_on(server.ref)
            and original.weight == known.weight != server.initial_weight == server.weight
        ):
            self._desired_states.originals[server.ref] = replace(original, weight=server.weight)
            text = f"{server.ref} has the weight {server.weight} in the configuration now, and keeps it"
            self._bus.emit(NodeNote(node=server.ref.server, text=text))

    def _ours(self, snapshot: Snapshot) -> list[Server]:
        return [server for server in snapshot.servers if server.ref in self._desired_states.originals]

    def _report_external_changes(self, ours: Sequence[Server], moment: int) -> None:
        """Report external changes without undoing them; a step of such a node fails when it reads them."""
        for server in ours:
            ref = server.ref
            if not self._desired_states.by_others(server, moment):
                if self._desired_states.satisfied_by(server):
                    self._pending_reports.pop(ref, None)
                continue
            wanted = self._desired_states.desired(ref).value
            # An agent check may say another weight every second.
            now = f"{server.admin_state}" + ("" if server.agent else f", weight {server.weight}")
            if self._pending_reports.get(ref) == f"{wanted} {now}":
                continue
            self._pending_reports[ref] = f"{wanted} {now}"
            who = self._desired_states.who_set(ref, OriginalState.of(server), server.agent)
            text = f"{who} set {ref} to {server.admin_state}, weight {server.weight}"
            self._bus.emit(NodeNote(node=ref.server, text=f"{text}; this rollout wants it {wanted}"))


def summarize(totals: Totals, seconds: float) -> Traffic:
    """Return the event at the end of a rollout."""
    return Traffic(
        served=totals.requests,
        errors_5xx=totals.answered_5xx,
        duration_s=round(seconds, 3),
        errors=totals.errors if totals.http or totals.errors else None,
        unattributed=totals.unattributed,
        unknown=sorted(totals.unknown),
        gaps=totals.gaps,
    )
