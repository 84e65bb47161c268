"""What a rollout wants of each server now: set again after a reload, and told from what others do."""

import enum
from collections.abc import Collection
from dataclasses import dataclass, field

from backends.haproxy import commands
from backends.model import Admin, AdminState, Server, ServerRef
from orchestrator.node import Original


class Intent(enum.Enum):
    """How a server is to be."""

    ORIGINAL = "as it was before"
    DRAIN = "drained"
    MAINT = "in maintenance"
    PROVE = "drained, and to be proven by HAProxy's checks"


@dataclass(slots=True)
class Intentions:
    """Of all servers of a plan. Filled at the start, changed by the steps just before they write."""

    originals: dict[ServerRef, Original] = field(default_factory=dict)
    wanted: dict[ServerRef, Intent] = field(default_factory=dict)
    left: set[ServerRef] = field(default_factory=set)  # by an earlier rollout: out until their turn has begun

    def of(self, ref: ServerRef) -> Intent:
        return self.wanted.get(ref, Intent.ORIGINAL)

    def set(self, refs: Collection[ServerRef], intent: Intent) -> None:
        for ref in refs:
            self.wanted[ref] = intent

    def worked_on(self, ref: ServerRef) -> bool:
        """Its node is out, or on its way."""
        return self.of(ref) is not Intent.ORIGINAL

    def met(self, server: Server) -> bool:
        """Whether the administrative state, weight and agent check are as they are wanted."""
        original, intent = self.originals[server.ref], self.of(server.ref)
        if server.ref in self.left and server.ref not in self.wanted:
            return True  # as that one has left it; nobody has to be told
        if intent is Intent.MAINT:
            return bool(server.admin & Admin.FORCED_MAINT)
        if intent in (Intent.DRAIN, Intent.PROVE):
            return server.admin_state is AdminState.DRAIN
        return (
            Original.of(server).admin is original.admin
            and server.weight == original.weight
            and (server.agent or not original.agent)
        )

    def ways(self, server: Server) -> list[str]:
        """The commands that bring a server there."""
        original, intent, ref = self.originals[server.ref], self.of(server.ref), server.ref
        lines = []
        if server.weight != original.weight:
            lines.append(commands.weight(ref, str(original.weight)))
        if intent is Intent.ORIGINAL:
            if Original.of(server).admin is not original.admin:
                lines.append(_RESTORE[original.admin](ref))
            return [*lines, commands.agent_on(ref)] if original.agent and not server.agent else lines
        if server.agent:
            lines.append(commands.agent_off(ref))
        return [*lines, _SET[intent](ref)]


_SET = {Intent.DRAIN: commands.drain, Intent.MAINT: commands.maint, Intent.PROVE: commands.prove}
_RESTORE = {
    AdminState.MAINT: commands.maint,
    AdminState.DRAIN: commands.drain,
    AdminState.READY: commands.ready,
}
