"""Views of load balancers as a poller would show them, one after the other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backends.haproxy.columns import columns_of
from backends.model import Admin, Operational, Server
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import Rates, RowIndex
from orchestrator.live.traffic_history import TrafficHistory
from tests.support.console_values import counters, server

DOWN: dict[str, Any] = {
    "operational": Operational.STOPPED,
    "status": "DOWN",
    "check_status": "L4CON",
    "check_health": 0,
}
MAINT: dict[str, Any] = {"admin": Admin.FORCED_MAINT, "operational": Operational.STOPPED, "status": "MAINT"}


def balancer(
    at: float,
    servers: Sequence[Server] = (),
    *,
    name: str = "lb1",
    requests: int = 0,
    errors: int = 0,
    ms: int = 8,
) -> BalancerView:
    """Return a load balancer that was read at this moment, with the counters of its backend."""
    servers = list(servers) or [server("web1", name)]
    columns = columns_of(servers)
    rates = Rates(RowIndex(columns.names))
    own = {"shop": counters(requests, errors)}
    return BalancerView(
        name,
        "live",
        servers=servers,
        columns=columns,
        rates=rates.with_sample(rates.rows, at, columns, own, {"shop": ms}),
        read_at=at,
    )


def following(before: BalancerView, at: float, servers: Sequence[Server]) -> BalancerView:
    """Return the next view of a load balancer, with the same rows in the same order."""
    return replace(before, servers=servers, columns=columns_of(servers), read_at=at)


def busy_traffic(seconds: int = 600, names: Sequence[str] = ("lb1", "lb2")) -> TrafficHistory:
    """Return a history of ten minutes in which load rises and falls, with some errors in the middle."""
    history = TrafficHistory()
    requests = errors = 0
    for second in range(0, seconds + 1, 5):
        wave = 60 + 40 * (second // 60 % 3) + second // 20
        requests += 5 * wave
        errors += 4 if 240 <= second < 300 else 0
        views = [
            balancer(second, name=name, requests=requests, errors=errors, ms=8 + second // 60)
            for name in names
        ]
        history.add(FleetView(tuple(views)))
    return history
