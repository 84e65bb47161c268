"""Values for the tests of the detail: load balancers, servers and sessions."""

from typing import Any

from backends.haproxy.columns import columns_of
from backends.model import Info, Level, Server, ServerRef, Sessions, Stream
from orchestrator.live.poller import BalancerView, FleetView, PolledSessions
from orchestrator.live.rates import Rates, RowIndex
from tests.support.console_values import server
from widgets.detail.model import Detail
from widgets.detail.page import build_page

NOW = 100.0
WEB1 = ("shop", "web1")


def instance(name: str = "lb1", *servers: Server, **changes: Any) -> BalancerView:
    """A live load balancer that has web1, unless others are given; two polls, a second apart."""
    servers = servers or (server("web1", name, sessions=2, requests=143, response_time=8),)
    columns = columns_of(servers)
    before = columns_of([server(ref.server, name, ref.backend) for ref in (shown.ref for shown in servers)])
    places = RowIndex(columns.names)
    rates = Rates().with_sample(places, NOW - 1.2, before).with_sample(places, NOW - 0.2, columns)
    fields: dict[str, Any] = {
        "name": name,
        "state": "live",
        "info": Info(name, "2.6.12-1+deb12u4", 7, 3600, False),
        "level": Level.ADMIN,
        "servers": servers,
        "columns": columns,
        "rates": rates,
        "read_at": NOW - 0.2,
    }
    return BalancerView(**(fields | changes))


def stream(age: int | None, on: str = "lb1", client: str = "10.0.0.9:4000", **changes: Any) -> Stream:
    """A session on web1."""
    fields: dict[str, Any] = {"frontend": "www", "silence_left": 28, "ref": ServerRef(on, *WEB1)}
    return Stream(client=client, age=age, **(fields | changes))


def read(*streams: Stream, total: int | None = None, at: float = NOW - 1) -> PolledSessions:
    """Sessions that were read a second ago."""
    return PolledSessions(Sessions(len(streams) if total is None else total, streams), at)


def detail(*instances: BalancerView, **changes: Any) -> Detail:
    """web1 on these load balancers, on two live ones by default."""
    fields: dict[str, Any] = {
        "node": "web1",
        "keys": (WEB1,),
        "version": "1.4.2",
        "view": FleetView(instances or (instance("lb1"), instance("lb2"))),
        "now": NOW,
    }
    return Detail(**(fields | changes))


def lines(shown: Detail, width: int = 80) -> list[str]:
    """The page as text."""
    return ["".join(text for text, _ in line).rstrip() for line in build_page(shown, width).lines]


def kind_of(shown: Detail, text: str, width: int = 80) -> str:
    """The kind of the first piece that has this text."""
    return next(kind for line in build_page(shown, width).lines for part, kind in line if text in part)
