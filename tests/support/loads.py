"""Snapshots of a load balancer whose servers have a load."""

from collections.abc import Mapping
from typing import Any

from backends.model import Backend, Info, Level, Load, Server, ServerRef, Snapshot
from tests.support.console_values import counters, server


def loaded(
    name: str,
    *,
    instance: str = "lb1",
    rate: int = 0,
    rate_max: int = 0,
    sessions: int = 0,
    sessions_max: int = 0,
    limit: int | None = None,
    total: int = 0,
    **changes: Any,
) -> Server:
    """A server in rotation with this load; `total` are the requests that it had so far."""
    address = {"address": f"10.0.0.{name.removeprefix('web')}"} if name.startswith("web") else {}
    fields: dict[str, Any] = address | {
        "sessions": sessions,
        "counters": counters(total)._replace(in_flight=sessions),
        "load": Load(rate, rate_max, sessions_max, limit),
    }
    return server(name, instance, **(fields | changes))


def snapshot(
    *servers: Server,
    uptime: int = 86_400,
    algorithm: str = "roundrobin",
    queue: int = 0,
    mode: str = "http",
    cookie: str = "",
) -> Snapshot:
    """What a load balancer reports that has these servers."""
    ref = servers[0].ref
    backends = (Backend(ref.backend, mode, algorithm, cookie, queue=queue),)
    info = Info(ref.instance, "2.6.12", 17, uptime, False)
    return Snapshot(info, Level.ADMIN, backends, servers)


def snapshots(*found: Snapshot) -> Mapping[str, Snapshot]:
    return {one.info.instance: one for one in found}


def refs(*names: str, instance: str = "lb1") -> set[ServerRef]:
    return {ServerRef(instance, "shop", name) for name in names}
