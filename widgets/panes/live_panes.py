"""Both panes below the table of servers, and how many lines each gets."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.containers import Container

from orchestrator.events.state import RolloutState
from orchestrator.live.notices import NoticeLog
from orchestrator.live.traffic_history import TrafficHistory
from widgets.panes import events_pane, traffic_pane
from widgets.panes.events_pane import EventsPane
from widgets.panes.traffic_pane import TrafficPane

Choice = Literal["auto", "on", "off"]
"""Whether a pane is shown: where there is room for it, always if possible, or never."""
CHOICES: tuple[Choice, ...] = ("auto", "on", "off")

BESIDE_FROM_COLUMNS = 120
MIN_TABLE_LINES = 6
_SHARE = 0.4  # of the lines, for the panes below a long table
_SHARE_FROM_LINES = 26  # a lower table does without panes, unless they are asked for


@dataclass(frozen=True, slots=True)
class PaneLines:
    """The lines of each pane; 0 hides it. `beside` puts them next to each other."""

    traffic: int = 0
    events: int = 0
    beside: bool = False

    @property
    def total(self) -> int:
        """The lines that both take from the table."""
        return max(self.traffic, self.events) if self.beside else self.traffic + self.events


def share_lines(lines: int, rows: int, width: int, traffic: Choice, events: Choice) -> PaneLines:
    """Return how many lines each pane gets: those that the table does not need, and else some of its own.

    Args:
        lines: for the table and the panes.
        rows: of the table, without its titles.
        width: of the screen.
        traffic: whether to show that pane.
        events: whether to show that pane.
    """
    table = rows + 1
    room = lines - table
    least = min(traffic_pane.MIN_LINES, events_pane.MIN_LINES)
    if room < least:
        asked = "on" in (traffic, events)
        room = int(lines * _SHARE) if asked or lines >= _SHARE_FROM_LINES else 0
        room = min(room, lines - MIN_TABLE_LINES)
    shown_traffic = traffic != "off" and room >= traffic_pane.MIN_LINES
    shown_events = events != "off" and room >= events_pane.MIN_LINES
    if width >= BESIDE_FROM_COLUMNS and shown_traffic and shown_events:
        return PaneLines(room, room, beside=True)
    if shown_traffic and shown_events:
        if room < traffic_pane.MIN_LINES + events_pane.MIN_LINES:
            return PaneLines(room, 0) if traffic == "on" != events else PaneLines(0, room)
        half = max(traffic_pane.MIN_LINES, room // 2)
        return PaneLines(half, room - half)
    return PaneLines(room if shown_traffic else 0, room if shown_events else 0)


class LivePanes(Container):
    """Traffic and events, below each other or side by side."""

    DEFAULT_CSS = """
    LivePanes { height: 0; layout: vertical; }
    LivePanes.-beside { layout: horizontal; }
    LivePanes > TrafficPane, LivePanes > EventsPane { display: none; width: 1fr; height: 1fr; }
    LivePanes > .-shown { display: block; }
    """
    PANES: ClassVar[tuple[str, ...]] = ("traffic", "events")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.pane_lines = PaneLines()

    def compose(self) -> ComposeResult:
        yield TrafficPane()
        yield EventsPane()

    def divide(self, lines: PaneLines) -> None:
        """Give each pane its lines."""
        if lines == self.pane_lines:
            return
        self.pane_lines = lines
        traffic, events = self.query_one(TrafficPane), self.query_one(EventsPane)
        traffic.set_class(lines.traffic > 0, "-shown")
        events.set_class(lines.events > 0, "-shown")
        self.set_class(lines.beside, "-beside")
        if not lines.beside:
            traffic.styles.height = lines.traffic if lines.events else "1fr"
            events.styles.height = "1fr"
        else:
            traffic.styles.height = events.styles.height = "1fr"
        # What the rollout board takes when it grows comes out of the panes until the lines are shared again.
        self.styles.height = "1fr" if lines.total else 0

    def show(
        self,
        traffic: TrafficHistory,
        notices: NoticeLog,
        rollout: RolloutState | None,
        balancers: int,
        now: float,
    ) -> None:
        """Show what is known now.

        Args:
            traffic: of the application.
            notices: of the application.
            rollout: whose versions are compared; None without one.
            balancers: the number of load balancers.
            now: seconds since 1970.
        """
        if self.pane_lines.traffic:
            self.query_one(TrafficPane).show(traffic, rollout)
        if self.pane_lines.events:
            self.query_one(EventsPane).show(notices, balancers, now)
