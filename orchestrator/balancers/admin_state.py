"""The reasons why a server is out of rotation: who has set its state, and which server it tracks.

Measured on HAProxy 2.2 to 3.2: a state that is forced on a server is inherited by all servers that track it,
in any backend, and by those that track these. A weight is not inherited. Only a change of the tracked server
ends the inherited state.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from backends.haproxy.columns import columns_of
from backends.model import Admin, AdminState, Server, ServerRef, Snapshot
from backends.name_ranges import Own

TrackTargets = Mapping[ServerRef, ServerRef]
"""The server that is followed, by each server that follows one."""

MAX_NAMED_SERVERS = 10  # followers that a text names

_INHERITED = Admin.INHERITED_MAINT | Admin.INHERITED_DRAIN


def find_track_targets(snapshots: Iterable[Snapshot]) -> dict[ServerRef, ServerRef]:
    """Find which servers follow another one; where none does, no server is built."""
    found: dict[ServerRef, ServerRef] = {}
    for snapshot in snapshots:
        columns = columns_of(snapshot.servers)
        # Servers that are alike track the same one.
        tracks = {at: snapshot.servers[at].track_target for at in set(columns.alike)}
        if not any(tracks.values()):
            continue
        instance = snapshot.info.instance
        for (backend, server), at in zip(columns.names, columns.alike, strict=True):
            if tracks[at]:
                found[ServerRef(instance, backend, server)] = _parse_ref(instance, tracks[at])
    return found


def track_targets_of(servers: Iterable[Server]) -> dict[ServerRef, ServerRef]:
    """Find which of these servers follow another one."""
    return {
        server.ref: _parse_ref(server.ref.instance, server.track_target)
        for server in servers
        if server.track_target
    }


def find_followers(tracked: TrackTargets, leaving: Collection[ServerRef]) -> frozenset[ServerRef]:
    """Find all servers that are carried along, directly or through others, without the ones that leave."""
    behind: dict[ServerRef, list[ServerRef]] = {}
    for follower, followed in tracked.items():
        behind.setdefault(followed, []).append(follower)
    found, new = set(leaving), list(leaving)
    while new:
        for follower in behind.get(new.pop(), ()):
            if follower not in found:
                found.add(follower)
                new.append(follower)
    return frozenset(found.difference(leaving))


def find_returning_followers(
    servers: Collection[Server], returning: Collection[ServerRef]
) -> frozenset[ServerRef]:
    """Find the followers that are in rotation as soon as these servers are.

    A server that is kept out by itself stays out, and so do those that follow it.

    Args:
        servers: the followers, as they are now.
        returning: servers that are put back in rotation.
    """
    free = [
        server
        for server in servers
        if server.own_admin_state is AdminState.READY
        and server.weight > 0
        and server.status != "DOWN (agent)"
    ]
    return find_followers(track_targets_of(free), returning)


def inherits(server: Server) -> bool:
    """Return whether a server is out because the one that it tracks is out."""
    return bool(server.admin & _INHERITED)


def inherits_only(server: Server) -> bool:
    """Return whether a server is out only because of the one that it tracks."""
    return inherits(server) and server.own_admin_state is AdminState.READY


def is_same_endpoint(server: Server, others: Iterable[Server]) -> bool:
    """Return whether a server has the address and port of another one; False where addresses are hidden."""
    return bool(server.address) and any(
        (server.address, server.port) == (other.address, other.port) for other in others
    )


def describe_followers(tracked: TrackTargets, carried: Collection[ServerRef]) -> Iterator[tuple[str, ...]]:
    """Describe each follower that goes out too, in parts: `other/o1 on lb1, lb2, which follows pair/r1`."""
    instances_of: dict[tuple[str, str, str, str], list[str]] = {}
    for ref in sorted(carried):
        target = tracked[ref]
        key = (ref.backend, ref.server, target.backend, target.server)
        instances_of.setdefault(key, []).append(ref.instance)
    for (backend, server, *followed), instances in list(instances_of.items())[:MAX_NAMED_SERVERS]:
        on = f" on {', '.join(instances)}, which follows {followed[0]}/"
        yield f"{backend}/", Own(server), on, Own(followed[1])
    if len(instances_of) > MAX_NAMED_SERVERS:
        yield (f"{len(instances_of) - MAX_NAMED_SERVERS} more servers that follow it",)


def format_path(ref: ServerRef) -> str:
    """Return the name of a server as HAProxy writes it: `backend/server`."""
    return f"{ref.backend}/{ref.server}"


def _parse_ref(instance: str, tracks: str) -> ServerRef:
    backend, _, server = tracks.partition("/")
    return ServerRef(instance, backend, server)


Decider = Literal[
    "rollout", "operator", "operator or agent", "agent", "configuration", "resolution", "tracked", "nobody"
]


@dataclass(frozen=True, slots=True)
class MaintenanceReason:
    """One reason why a server is, or will be, out of rotation.

    Attributes:
        who: who decided it; "nobody" when only checks and weights count.
        text: what was decided, and what ends it.
        active: whether it keeps the server out now; False for what only counts after a reload.
    """

    who: Decider
    text: str
    active: bool = True


def find_maintenance_reasons(server: Server, rollout: str = "") -> tuple[MaintenanceReason, ...]:
    """Return every reason for the administrative state of a server, the strongest first; never empty.

    HAProxy keeps no names. What an operator and what an agent check forced at run time look the same (the
    status `DRAIN (agent)` only says that there is an agent), so with an agent both are named.

    Args:
        server: the server.
        rollout: the rollout that is known to have forced the state, in words; empty for none.
    """
    found = tuple(_find_reasons(server, rollout))
    return found or (MaintenanceReason("nobody", _no_hold_text(server), active=False),)


def _find_reasons(server: Server, rollout: str) -> Iterator[MaintenanceReason]:
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
        yield _forced_reason(server, "maintenance", rollout)
    elif admin & Admin.CONFIG_MAINT:
        text = "made ready at run time: `disabled` in the configuration takes it out at the next reload"
        yield MaintenanceReason("configuration", text, active=False)
    if admin & Admin.INHERITED_MAINT:
        yield _inherited_reason(server, "maintenance")
    if admin & Admin.FORCED_DRAIN:
        yield _forced_reason(server, "drain", rollout)
    if admin & Admin.INHERITED_DRAIN:
        yield _inherited_reason(server, "drain")
    if server.status == "DOWN (agent)":
        yield _down_reason(server)
    if server.weight == 0 and not server.track_target:
        yield _weight_reason(server)


def _forced_reason(server: Server, what: str, rollout: str) -> MaintenanceReason:
    if rollout:
        return MaintenanceReason("rollout", f"{what} by {rollout}")
    if server.agent:
        reply = f" (last reply: {_format_agent_reply(server)})" if _format_agent_reply(server) else ""
        text = f"{what} at run time, by an operator or the agent check{reply}; HAProxy keeps no record"
        return MaintenanceReason("operator or agent", text)
    return MaintenanceReason(
        "operator",
        f"{what} by an operator at run time; `ready` ends it; without a state file so does a reload",
    )


def _inherited_reason(server: Server, what: str) -> MaintenanceReason:
    tracked = server.track_target or "a server"
    return MaintenanceReason(
        "tracked", f"{what} inherited from {tracked}, which it tracks; only that can end it"
    )


def _down_reason(server: Server) -> MaintenanceReason:
    if server.track_target:
        return MaintenanceReason(
            "agent", f"down by the agent check of {server.track_target}, which it tracks"
        )
    reply = f": {_format_agent_reply(server)}" if _format_agent_reply(server) else ""
    return MaintenanceReason("agent", f"down by its agent check{reply}")


def _weight_reason(server: Server) -> MaintenanceReason:
    if server.initial_weight == 0:
        return MaintenanceReason("configuration", "weight 0 in the configuration: no balanced traffic")
    was = f"{server.initial_weight} in the configuration"
    if server.agent:
        return MaintenanceReason(
            "operator or agent", f"weight 0 at run time, by an operator or the agent check; {was}"
        )
    return MaintenanceReason("operator", f"weight 0 by an operator at run time; {was}")


def _format_agent_reply(server: Server) -> str:
    return server.last_agent.removeprefix("via agent : ")


def _no_hold_text(server: Server) -> str:
    if server.in_rotation:
        return "no administrative hold"
    if server.track_target:
        return f"no administrative hold; controlled by the checks of {server.track_target}"
    return "no administrative hold; controlled by health checks"
