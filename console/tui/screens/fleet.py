"""The first screen where several applications are configured: all of them at a glance."""

import time
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from backends.consul.settings import NAME
from backends.text import counted
from console.tui.screens.fleet_requests import FleetKey, request_of_rollouts
from console.tui.screens.table_screen import TableScreen
from orchestrator.fleet.overview import FleetOverview
from orchestrator.journal.reader import HistoryReader
from widgets.fleet.filter import build_fleet_filter_line
from widgets.fleet.header import FleetHeader, FleetHeaderModel
from widgets.fleet.model import FLEET_SORTS, FleetOptions, arrange_rows
from widgets.fleet.picker import ApplicationPicker
from widgets.fleet.table import FleetTable
from widgets.footer import KeyBar
from widgets.table.filter_line import FilterLine
from widgets.table.model import BalancerBadge, build_badge

POLL_INTERVAL_S = 0.1  # how often the screen checks for changes to show
KEYS_BY_IMPORTANCE = (
    *("table-choose", "upgrade", "filter", "application", "quit", "help", "pause", "abort", "table-mark"),
    *("sort", "problems", "resume", "roll-back", "history"),
)


class FleetScreen(TableScreen[FleetOptions]):
    """All applications; Enter opens one, and Esc comes back from it."""

    class Picked(Message):
        """An application is to be opened.

        Attributes:
            action: of the main view, to start there: "upgrade", "resume" or "roll_back"; empty for none.
        """

        def __init__(self, application: str, action: str = "") -> None:
            super().__init__()
            self.application = application
            self.action = action

    HELP = """
# Fleet
All applications of the configuration, those that need attention first. **Enter** opens one, and **Esc** comes
back; rollouts go on meanwhile, and several can run side by side. **h** shows the history of all of them.

**x** marks applications. **p** and **a** are then for the rollouts of all of them, after one question;
**u**, **ctrl+r** and **R** are for one application at a time.
"""
    SORTS = FLEET_SORTS
    CLEAR_KEY = "clear"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "open_for('upgrade')", "upgrade", id="upgrade", tooltip="Upgrade this application"),
        Binding(
            "ctrl+r",
            "open_for('resume')",
            "resume",
            id="resume",
            tooltip="Finish the unfinished rollout of this application",
        ),
        Binding(
            "R",
            "open_for('roll_back')",
            "roll back",
            id="roll-back",
            tooltip="Roll this application back to its previous versions",
        ),
        Binding(
            "p",
            "request('pause')",
            "pause",
            id="pause",
            tooltip="Pause the rollout here, or those of all marked applications; paused ones go on",
        ),
        Binding(
            "a",
            "request('abort')",
            "abort",
            id="abort",
            tooltip="End the rollout here, or those of all marked applications, after the running step",
        ),
        Binding("slash", "filter", "filter", id="filter", tooltip="Show only applications with this text"),
        Binding("o", "sort", "sort", id="sort", tooltip="Next sort order: attention, name, ..."),
        Binding("O", "reverse", "reverse", id="reverse", tooltip="Reverse the sort order", show=False),
        Binding(
            "exclamation_mark",
            "problems",
            "problems",
            id="problems",
            tooltip="Only applications that need attention",
        ),
        Binding("g", "application", "go to", id="application", tooltip="Find an application by typing"),
        Binding("h", "history", "history", id="history", tooltip="Past rollouts and changes, with filters"),
        Binding(
            "escape",
            "clear",
            "clear",
            id="clear",
            tooltip="Show all applications again, then clear the marks",
            show=False,
        ),
        Binding("q", "app.quit", "quit", id="quit", tooltip="Quit; rollouts that run go on"),
    ]

    def __init__(self, overview: FleetOverview, read_only: str = "") -> None:
        """Create the screen; it is filled when it is mounted.

        Args:
            overview: of all applications.
            read_only: why nothing may be changed; empty when it may.
        """
        super().__init__(FleetOptions())
        self._overview = overview
        self._read_only = read_only
        self._second = -1
        self._shown: object = None  # the rollouts as they were shown last
        self._top: str | None = ""  # where the cursor was put; None once that is left to the operator

    def compose(self) -> ComposeResult:
        yield FleetHeader()
        yield FleetTable()
        yield FilterLine()
        yield self._build_filter_box("part of a name, version or operator, or running, waits, frozen")
        yield KeyBar(KEYS_BY_IMPORTANCE)

    def on_mount(self) -> None:
        self.query_one(FleetTable).focus()
        self.set_interval(POLL_INTERVAL_S, self._poll)
        self._paint()

    def on_screen_resume(self) -> None:
        self._paint()

    # -- showing ------------------------------------------------------------------------------

    def _poll(self) -> None:
        if not self.is_current:
            return
        second = int(time.time())
        rollouts = self._overview.standings()
        if second != self._second or rollouts != self._shown:
            self._second, self._shown = second, rollouts
            self._paint()

    def _paint(self) -> None:
        rows = self._overview.rows()
        shown = arrange_rows(rows, self._options)
        table = self.query_one(FleetTable)
        table.empty_text = f"0 of {counted(len(rows), 'application')} match, {self.clear_hint}"
        table.show(shown, frozenset(row.name for row in rows), self._options, time.time())
        badges = self._badges()
        self._begin_at_top(table, not badges or any(badge.state == "connecting" for badge in badges))
        limits = build_fleet_filter_line(self._options, len(shown), len(rows), self.clear_hint)
        self.query_one(FilterLine).show_line(limits)
        model = FleetHeaderModel(badges, rows, self._overview.problem)
        self.query_one(FleetHeader).show(model, time.strftime("%H:%M:%S"))

    def _begin_at_top(self, table: FleetTable, is_beginning: bool) -> None:
        """Keep the cursor on the row that needs attention most until all load balancers were read once."""
        if self._top is None:
            return
        is_moved = self._top not in ("", table.cursor_key)
        if not is_moved and table.count_rows():
            table.move_to(table.key_at(0))
            self._top = table.cursor_key
        if is_moved or not is_beginning:
            self._top = None

    def _badges(self) -> tuple[BalancerBadge, ...]:
        now = self._overview.monotonic()
        badges = [build_badge(balancer, now) for balancer in self._overview.balancers()]
        if (consul := self._overview.consul_status) is not None:
            badges.append(BalancerBadge(NAME, consul.state, "", consul.age, consul.note))
        return tuple(badges)

    # -- doing --------------------------------------------------------------------------------

    @on(FleetTable.Chosen)
    def _row_chosen(self, event: FleetTable.Chosen) -> None:
        self.post_message(self.Picked(event.key))

    def _chosen(self) -> frozenset[str]:
        """Return the marked applications, or else the one under the cursor."""
        table = self.query_one(FleetTable)
        here = table.cursor_key
        return table.marked or frozenset(() if here is None else (here,))

    def action_open_for(self, action: str) -> None:
        names = self._chosen()
        if len(names) > 1:
            text = f"{len(names)} applications are marked, this is for one at a time"
            self.notify(f"{text}; {self.clear_hint} the marks", severity="warning", timeout=4)
        for name in names if len(names) == 1 else ():
            self.post_message(self.Picked(name, action))

    def action_request(self, key: FleetKey) -> None:
        # The names are taken now: the marks may be others by the time a question is answered.
        if self._read_only:
            self.notify(f"read-only: {self._read_only}", severity="warning", timeout=4, markup=False)
        elif names := self._chosen():
            self._request(names, key)

    # Never exclusive: that would cut off requests that are being sent.
    @work(group="request")
    async def _request(self, names: frozenset[str], key: FleetKey) -> None:
        if await request_of_rollouts(self, self._overview, names, key):
            self.query_one(FleetTable).clear_marks()

    def action_application(self) -> None:
        here = self.query_one(FleetTable).cursor_key or ""

        def picked(name: str | None) -> None:
            if name is not None:
                self.query_one(FleetTable).move_to(name)
                self.post_message(self.Picked(name))

        # No worker in between: what is typed at once belongs to the list.
        self.app.push_screen(ApplicationPicker(self._overview.rows(), here, time.time()), picked)

    def action_history(self) -> None:
        from console.tui.screens.history import HistoryScreen

        here = self.query_one(FleetTable).cursor_key or ""
        self.app.push_screen(HistoryScreen(HistoryReader(self._overview.journal), here, is_for_all=True))

    # -- arranging the table ------------------------------------------------------------------

    def action_clear(self) -> None:
        self.clear_table()

    @on(FleetTable.Ordered)
    def _ordered(self, event: FleetTable.Ordered) -> None:
        self._apply_options(self._options.sorted_by(event.sort))
