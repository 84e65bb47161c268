"""Servers that were taken out of rotation: who keeps them out, since when and why."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from backends.model import Server, ServerRef
from orchestrator.balancers.admin_state import find_maintenance_reasons
from orchestrator.engine.final_state import find_removal_time as out_since
from orchestrator.engine.final_state import format_weight
from orchestrator.journal.manual_changes import ManualChange


@dataclass(frozen=True, slots=True)
class KeptOut:
    """A server that was taken out of rotation.

    Attributes:
        by: "rollout", "hand" (with `rolldeck`), "others", or "haproxy": its configuration or name resolution.
        who: the operator, or the rollout, as far as known.
        words: the reasons in HAProxy.
        since: seconds since 1970; 0 where HAProxy does not know, such as of a weight.
        by_agent: whether its agent check may have done it: HAProxy does not tell that from an operator.
    """

    backend: str
    server: str
    by: Literal["rollout", "hand", "others", "haproxy"]
    who: str
    words: str
    since: float
    where: tuple[str, ...]
    by_agent: bool = False


def find_kept_out(
    servers: Sequence[Server], rollouts: Mapping[ServerRef, str], manual: Mapping[str, ManualChange]
) -> list[KeptOut]:
    """Return the servers that somebody has taken out; a failing check is no such reason."""
    groups: dict[tuple[str, str], list[Server]] = {}
    for server in servers:
        if any(
            owner.active and owner.who not in ("nobody", "agent")
            for owner in find_maintenance_reasons(server)
        ):
            groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    now = time.time()
    return [
        _make_kept_out(backend, name, own, rollouts, manual, now) for (backend, name), own in groups.items()
    ]


def list_kept_followers(followers: Sequence[Server]) -> list[KeptOut]:
    """Return servers of other backends that are out because they follow one of ours."""
    groups: dict[tuple[str, str], list[Server]] = {}
    for server in followers:
        groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    now = time.time()
    return [
        KeptOut(
            backend,
            name,
            "haproxy",
            "",
            "; ".join(dict.fromkeys(f"it follows {server.track_target}" for server in own)),
            round(now - min(server.last_change for server in own)),
            tuple(f"{server.ref.instance}: {server.status}" for server in own),
        )
        for (backend, name), own in groups.items()
    ]


def _make_kept_out(
    backend: str,
    name: str,
    servers: Sequence[Server],
    rollouts: Mapping[ServerRef, str],
    manual: Mapping[str, ManualChange],
    now: float,
) -> KeptOut:
    rollout = next((rollouts[server.ref] for server in servers if server.ref in rollouts), None)
    deciding = [
        owner
        for server in servers
        for owner in find_maintenance_reasons(server, rollouts.get(server.ref, ""))
        if owner.active
    ]
    since = out_since(servers, now)
    where = tuple(f"{server.ref.instance}: {server.admin_state}{format_weight(server)}" for server in servers)
    words = "; ".join(dict.fromkeys(owner.text for owner in deciding))
    by: Literal["rollout", "hand", "others", "haproxy"] = "others"
    who = ""
    if rollout is not None:
        by, who = "rollout", rollout
    elif name in manual:
        by, who, since = "hand", manual[name].operator, manual[name].at
    elif all(owner.who in ("configuration", "resolution", "tracked") for owner in deciding):
        by = "haproxy"
    by_agent = any(owner.who == "operator or agent" for owner in deciding)
    return KeptOut(backend, name, by, who, words, round(since), where, by_agent)
