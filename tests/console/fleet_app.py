"""A console that shows the fleet alone, on rows that stand still."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from backends.model import Info
from console.tui.screens.fleet import FleetScreen
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.fleet.rollout_line import RolloutLine
from orchestrator.fleet.row import ApplicationRow
from orchestrator.live.availability import Availability
from orchestrator.live.poller import BalancerView
from orchestrator.live.traffic import Traffic
from orchestrator.planning.application import Frozen
from orchestrator.session.consul import ConsulStatus
from tests.support.journal import NOWHERE
from tests.support.svg import lean

NOW = 1_700_000_000.0  # 22:13:20 UTC
TREND = (3.0, 5.0, 4.0, 6.0, 8.0, 7.0, 5.0, 6.0)


def nodes(count: int, *, out: int = 0, down: int = 0, name: str = "node") -> Availability:
    names = tuple(f"{name}{number}" for number in range(1, count + 1))
    return Availability(names, out=names[:out], down=names[out : out + down])


def rollout(**changes: Any) -> RolloutLine:
    fields: dict[str, Any] = {
        "standing": "running",
        "kind": "upgrade",
        "version": "1.5.0",
        "done": 5,
        "total": 12,
        "action": "verifies node6",
        "operator": "anna@admin1",
        "host": "admin1",
        "since": NOW - 600,
        "entry": 7,
        "remaining_s": 190.0,
        "at_work": ("node6",),
    }
    return RolloutLine(**(fields | changes))


def traffic(rate: float, ms: int = 12, **changes: Any) -> Traffic:
    figures = Traffic(
        rate, 0.0, response=ResponseTime(ms, is_recent=True), trend=TREND, sessions=int(rate / 10)
    )
    return replace(figures, **changes)


SHOP = ApplicationRow(
    "shop",
    nodes(12, out=1),
    (("1.4.2", 7), ("1.5.0", 5)),
    traffic(1840, 18, errors=0.001),
    rollout(),
)
CART = ApplicationRow(
    "cart",
    nodes(4, out=1, name="web"),
    (("2.1.0", 3), ("2.2.0", 1)),
    traffic(420),
    rollout(
        standing="waits",
        version="2.2.0",
        done=1,
        total=4,
        action="waits for you: web2",
        questions=("web2",),
        entry=8,
    ),
)
SEARCH = ApplicationRow(
    "search",
    nodes(6, out=1),
    (("0.9.1", 6),),
    traffic(96, 88, errors=0.004, queue=3),
    rollout(standing="unfinished", version="0.9.2", nodes=("node5",), since=NOW - 86_400, action="degraded"),
)
BILLING = ApplicationRow(
    "billing", nodes(2), (("3.3.0", 2),), traffic(12, 31), frozen=Frozen(NOW + 36_000, "month end", "UTC")
)
MAIL = ApplicationRow("mail", nodes(3, down=1, name="mx"), (("7.1", 3),), traffic(3.5, 6, errors=0.2))
CALM = tuple(
    ApplicationRow(name, nodes(25), (("1.0.0", 25),), traffic(rate, 9))
    for name, rate in (
        ("accounts", 210),
        ("catalog-internal-eu", 55),
        ("catalog-internal-us", 71),
        ("media", 900),
    )
)
ROWS = (SHOP, CART, SEARCH, BILLING, MAIL, *CALM)


class FrozenOverview:
    """Has what the screen reads of a `FleetOverview`."""

    def __init__(self, rows: Sequence[ApplicationRow] = ROWS) -> None:
        self.shown = tuple(rows)
        self.problem = ""
        self.journal = NOWHERE / "journal.db"
        self.consul_status: ConsulStatus | None = ConsulStatus("live", 0.0, "")
        self.silent = ""  # a load balancer that has not answered for 12 seconds
        self.connecting = False  # no load balancer was read yet

    def rows(self) -> tuple[ApplicationRow, ...]:
        return self.shown

    def running_rows(self) -> tuple[ApplicationRow, ...]:
        running = [row for row in self.shown if row.rollout and row.rollout.standing != "unfinished"]
        return tuple(sorted(running, key=lambda row: row.attention))

    def standings(self) -> object:
        return self.shown

    def monotonic(self) -> float:
        return 100.0

    def balancers(self) -> Sequence[BalancerView]:
        if self.connecting:
            return [BalancerView("lb1"), BalancerView("lb2")]
        return [
            BalancerView(
                name,
                "stale" if name == self.silent else "live",
                Info(name, "2.6.12-1", 1, 1, False),
                read_at=88.0 if name == self.silent else 100.0,
                failing="connection refused" if name == self.silent else "",
            )
            for name in ("lb1", "lb2")
        ]


class FleetApp(App[str]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "show_help_panel", "help", id="help", tooltip="Keys of what has the focus")
    ]

    def __init__(self, overview: FrozenOverview | None = None, read_only: str = "") -> None:
        super().__init__()
        self._read_only = read_only
        self.overview = overview or FrozenOverview()
        self.picked: list[tuple[str, str]] = []
        self.animation_level = "none"

    def on_mount(self) -> None:
        self.push_screen(FleetScreen(self.overview, self._read_only))  # type: ignore[arg-type]

    def on_fleet_screen_picked(self, event: FleetScreen.Picked) -> None:
        self.picked.append((event.application, event.action))

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        return lean(super().export_screenshot(title=title, simplify=True))
