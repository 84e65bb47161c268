"""The desired state of each server: restored after a reload, and compared with external changes."""

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from backends.haproxy import commands
from backends.model import Admin, AdminState, Server, ServerRef
from orchestrator.events.events import ManualChangeStarted
from orchestrator.node import OriginalState
from orchestrator.planning.ramp import has_full_share


class DesiredState(enum.Enum):
    """The administrative state that a rollout wants a server to have."""

    ORIGINAL = "as it was before"
    DRAIN = "drained"
    MAINT = "in maintenance"
    PROVE = "drained, and to be proven by HAProxy's checks"
    RAMP = "in rotation with part of its weight"


@dataclass(slots=True)
class DesiredStates:
    """The desired states of all servers of a plan; a step sets one just before it writes.

    A desired state is *reached* once it was read. From then on, whatever reads otherwise was changed by
    somebody else; before, a server may still have its last desired state, until our own command has its
    effect.

    Attributes:
        originals: the states to which the servers return.
        wanted: the desired states of servers that are worked on.
        left_out: servers that stay out until their node begins: an earlier rollout has left them out, or an
            operator wants them back in rotation now.
        manual_changes: the last manual change of each server that this program has made during the rollout.
        stage_weights: the desired weights of servers that are on a ramp.
        moment: counts every change of a desired state, and every one that is reached; what was read of a
            server before its last one says nothing about it.
    """

    originals: dict[ServerRef, OriginalState] = field(default_factory=dict)
    wanted: dict[ServerRef, DesiredState] = field(default_factory=dict)
    left_out: set[ServerRef] = field(default_factory=set)
    manual_changes: dict[ServerRef, ManualChangeStarted] = field(default_factory=dict)
    stage_weights: dict[ServerRef, int] = field(default_factory=dict)
    moment: int = 0
    _changed: dict[ServerRef, int] = field(default_factory=dict)  # the moment of the last one, by server
    # The states before the desired one, until that is reached.
    _under_way: dict[ServerRef, set[AdminState]] = field(default_factory=dict)

    def desired(self, ref: ServerRef) -> DesiredState:
        return self.wanted.get(ref, DesiredState.ORIGINAL)

    def weight(self, ref: ServerRef) -> int:
        """Return the desired weight."""
        original = self.originals[ref].weight
        return self.stage_weights.get(ref, original) if self.desired(ref) is DesiredState.RAMP else original

    def set_stage(self, weights: Mapping[ServerRef, int]) -> None:
        """Set the desired state of servers on a ramp: ready, with these weights."""
        for ref, weight in weights.items():
            if self.desired(ref) is DesiredState.RAMP and self.stage_weights.get(ref) != weight:
                self._under_way.setdefault(ref, set()).add(AdminState.READY)
                self._change(ref)
            self.stage_weights[ref] = weight
        self.set(weights, DesiredState.RAMP)

    def set(self, refs: Collection[ServerRef], state: DesiredState) -> None:
        for ref in refs:
            if self.desired(ref) is not state:
                if ref in self.originals:
                    self._under_way.setdefault(ref, set()).add(self._state(ref))
                self._change(ref)
            self.wanted[ref] = state

    def note_read(self, servers: Iterable[Server]) -> None:
        """Take note of servers that were read after the last command to them."""
        for server in servers:
            if server.ref in self._under_way and self.satisfied_by(server):
                del self._under_way[server.ref]
                self._change(server.ref)

    def _change(self, ref: ServerRef) -> None:
        self.moment += 1
        self._changed[ref] = self.moment

    def _state(self, ref: ServerRef) -> AdminState:
        """Return the desired administrative state."""
        state = self.desired(ref)
        return self.originals[ref].admin if state is DesiredState.ORIGINAL else _STATES[state]

    def by_others(self, server: Server, moment: int) -> bool:
        """Return whether somebody else has changed a server away from its desired state.

        Args:
            server: a server of this plan.
            moment: the moment before it was read.
        """
        ref = server.ref
        if self._changed.get(ref, 0) > moment:
            return False
        if self.satisfied_by(server):
            self.note_read((server,))
            return False
        under_way = self._under_way.get(ref)
        return under_way is None or OriginalState.of(server).admin not in (*under_way, self._state(ref))

    def who_set(self, ref: ServerRef, now: OriginalState, agent: bool = False) -> str:
        """Name who set this state, as far as that can be known."""
        change = self.manual_changes.get(ref)
        if change is not None and (
            now.weight == change.weight
            if change.action == "weight"
            else now.admin == _STATE_BY_ACTION[change.action]
        ):
            return f"a manual change by {change.operator}"
        return "somebody, or its agent check," if agent else "somebody"

    def worked_on(self, ref: ServerRef) -> bool:
        """Return whether the node of a server is out of rotation, or being drained."""
        return self.desired(ref) is not DesiredState.ORIGINAL

    def expects_out(self, ref: ServerRef) -> bool:
        """Return whether a server is out because of this rollout, or is left out until its node begins."""
        return self.worked_on(ref) or (ref in self.left_out and ref not in self.wanted)

    def counts_for_floor(self, server: Server) -> bool:
        """Return whether a server is in rotation, and not with part of its weight because of a rollout."""
        ref = server.ref
        return server.in_rotation and (
            not self.expects_out(ref) or has_full_share(server, self.originals[ref].weight)
        )

    def satisfied_by(self, server: Server) -> bool:
        """Return whether a server has its desired administrative state, weight and agent check."""
        original, state = self.originals[server.ref], self.desired(server.ref)
        if server.ref in self.left_out and server.ref not in self.wanted:
            return True  # as it was left; that is no change to report
        if state is DesiredState.MAINT:
            return bool(server.admin & Admin.FORCED_MAINT)
        if state in (DesiredState.DRAIN, DesiredState.PROVE):
            return server.own_admin_state is AdminState.DRAIN
        if state is DesiredState.RAMP:
            now = OriginalState(AdminState.READY, self.weight(server.ref), agent=False)
            return OriginalState.of(server) == now
        return (
            OriginalState.of(server).admin is original.admin
            and server.weight == original.weight
            and (server.agent or not original.agent)
        )

    def commands_to_reach(self, server: Server) -> list[str]:
        """Return the commands that bring a server to its desired state."""
        original, state, ref = self.originals[server.ref], self.desired(server.ref), server.ref
        lines = []
        if server.weight != self.weight(ref):
            lines.append(commands.weight(ref, str(self.weight(ref))))
        if state is DesiredState.ORIGINAL:
            if OriginalState.of(server).admin is not original.admin:
                lines.append(RESTORE[original.admin](ref))
            return [*lines, commands.agent_on(ref)] if original.agent and not server.agent else lines
        if server.agent:
            lines.append(commands.agent_off(ref))
        if state is DesiredState.RAMP and OriginalState.of(server).admin is AdminState.READY:
            return lines
        return [*lines, _SET[state](ref)]


_STATES = {
    DesiredState.DRAIN: AdminState.DRAIN,
    DesiredState.MAINT: AdminState.MAINT,
    DesiredState.PROVE: AdminState.DRAIN,
    DesiredState.RAMP: AdminState.READY,
}
_STATE_BY_ACTION = {"drain": AdminState.DRAIN, "maint": AdminState.MAINT, "ready": AdminState.READY}
_SET = {
    DesiredState.DRAIN: commands.drain,
    DesiredState.MAINT: commands.maint,
    DesiredState.PROVE: commands.prove,
    DesiredState.RAMP: commands.ready,
}
RESTORE = {
    AdminState.MAINT: commands.maint,
    AdminState.DRAIN: commands.drain,
    AdminState.READY: commands.ready,
}
