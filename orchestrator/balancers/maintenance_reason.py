"""Who took a server out of rotation: the first question of whoever wants to put it back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from backends.model import Admin, Server

Decider = Literal[
    "operator", "operator or agent", "agent", "configuration", "resolution", "tracked", "nobody"
]


@dataclass(frozen=True, slots=True)
class MaintenanceReason:
    """One reason why a server is, or will be, out of rotation.

    Attributes:
        who: decided it; "nobody" when only checks and weights count.
        words: what was decided, and what ends it.
        now: it keeps the server out now; False for what only counts after a reload.
    """

    who: Decider
    text: str
    active: bool = True


def maintenance_reasons(server: Server) -> tuple[MaintenanceReason, ...]:
    """Everything that owns the administrative state of a server, the strongest first; never empty.

    HAProxy keeps no names. What an operator and what an agent check forced at run time look the same (the
    status `DRAIN (agent)` only says that there is an agent), so with an agent both are named.
    """
    return tuple(_reasons(server)) or (MaintenanceReason("nobody", _no_hold(server), active=False),)


def _reasons(server: Server) -> Iterator[MaintenanceReason]:
    admin = server.admin
    if admin & Admin.RESOLUTION_MAINT:
        yield MaintenanceReason(
            "resolution", "maintenance by name resolution: HAProxy has no address for its name"
        )
    if admin & Admin.FORCED_MAINT and admin & Admin.CONFIG_MAINT:
        yield MaintenanceReason(
            "configuration", "maintenance from the configuration (`disabled`); `ready` ends it"
        )
    elif admin & Admin.FORCED_MAINT:
        yield _forced(server, "maintenance")
    elif admin & Admin.CONFIG_MAINT:
        words = "made ready at run time: `disabled` in the configuration takes it out at the next reload"
        yield MaintenanceReason("configuration", words, active=False)
    if admin & Admin.INHERITED_MAINT:
        yield _inherited(server, "maintenance")
    if admin & Admin.FORCED_DRAIN:
        yield _forced(server, "drain")
    if admin & Admin.INHERITED_DRAIN:
        yield _inherited(server, "drain")
    if server.status == "DOWN (agent)":
        yield _down(server)
    if server.weight == 0 and not server.track_target:
        yield _weightless(server)


def _forced(server: Server, what: str) -> MaintenanceReason:
    if server.agent:
        said = f" (last it said: {_agent_reply(server)})" if _agent_reply(server) else ""
        words = f"{what} at run time, by an operator or the agent check{said}; HAProxy keeps no record"
        return MaintenanceReason("operator or agent", words)
    return MaintenanceReason(
        "operator",
        f"{what} by an operator at run time; `ready` ends it; without a state file so does a reload",
    )


def _inherited(server: Server, what: str) -> MaintenanceReason:
    tracked = server.track_target or "a server"
    return MaintenanceReason(
        "tracked", f"{what} inherited from {tracked}, which it tracks; only that can end it"
    )


def _down(server: Server) -> MaintenanceReason:
    if server.track_target:
        return MaintenanceReason(
            "agent", f"down by the agent check of {server.track_target}, which it tracks"
        )
    said = f": {_agent_reply(server)}" if _agent_reply(server) else ""
    return MaintenanceReason("agent", f"down by its agent check{said}")


def _weightless(server: Server) -> MaintenanceReason:
    if server.initial_weight == 0:
        return MaintenanceReason("configuration", "weight 0 in the configuration: no balanced traffic")
    was = f"{server.initial_weight} in the configuration"
    if server.agent:
        return MaintenanceReason(
            "operator or agent", f"weight 0 at run time, by an operator or the agent check; {was}"
        )
    return MaintenanceReason("operator", f"weight 0 by an operator at run time; {was}")


def _agent_reply(server: Server) -> str:
    return server.last_agent.removeprefix("via agent : ")


def _no_hold(server: Server) -> str:
    if server.in_rotation:
        return "no administrative hold"
    if server.track_target:
        return f"no administrative hold; controlled by the checks of {server.track_target}"
    return "no administrative hold; controlled by health checks"
