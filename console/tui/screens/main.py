"""The main view: all servers live, below them the rollout, and the keys that work now."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from backends.consul.settings import NAME
from console.operator_identity import current_operator
from console.tui.node_shell import open_node_shell
from console.tui.screens.actions import SWITCH
from console.tui.screens.main_keys import KEYS_BY_IMPORTANCE, MAIN_BINDINGS
from console.tui.screens.main_panes import MainPanes
from console.tui.screens.rollout_summary import RolloutSummary
from orchestrator.engine.control import BACK, CONTINUE, RETRY, SKIP
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.events import Record
from orchestrator.events.state import RolloutState
from orchestrator.live.poller import FleetView, Poller
from orchestrator.session.session import Session
from widgets.decision_panel import DecisionPanel, build_decision_lines
from widgets.detail.tabs import Tab
from widgets.footer import KeyBar
from widgets.panes.live_panes import LivePanes
from widgets.rollout_board import RolloutBoard
from widgets.status_header import StatusHeader
from widgets.table.by_server import RowKey
from widgets.table.filter_line import FilterLine
from widgets.table.model import BalancerBadge, MainViewModel, build_view_model
from widgets.table.widget import ServerTable

POLL_INTERVAL_S = 0.1  # how often the screen checks for changes to show


class MainScreen(MainPanes):
    """The main view: it shows the poller's view and the session's state, and maps keys to actions."""

    HELP = """
# Main view
Each row is a server of HAProxy, over all load balancers. **ADMIN** is the administrative state, **HEALTH** is
what health checks find. The marks under **LB** say for each load balancer whether the server is
in rotation.
"""
    DEFAULT_CSS = """
    MainScreen { layout: vertical; }
    MainScreen > ServerTable { height: 1fr; }
    MainScreen > RolloutBoard { height: auto; max-height: 45%; display: none; }
    MainScreen > RolloutBoard.-shown { display: block; }
    MainScreen > #filter { display: none; height: 1; border: none; padding: 0 1; }
    MainScreen > #filter.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = MAIN_BINDINGS

    def __init__(
        self,
        session: Session,
        poller: Poller,
        records: deque[Record],
        read_only: str,
        applications: Sequence[str] = (),
    ) -> None:
        """Create the screen; it is filled when it is mounted.

        Args:
            session: of the application.
            poller: of the load balancers.
            records: what happened, for the transcript.
            read_only: why nothing may be changed; empty when it may.
            applications: the names of all applications of the configuration.
        """
        super().__init__(session, poller, read_only, applications)
        self._records = records
        self._view: FleetView | None = None
        self._view_model: MainViewModel | None = None
        self._second = -1
        self._put_away: object = object()  # the end of the rollout whose board was put away

    def compose(self) -> ComposeResult:
        yield StatusHeader()
        yield ServerTable()
        yield FilterLine()
        yield Input(placeholder="filter: part of a node, backend or state", id="filter", compact=True)
        yield LivePanes()
        yield DecisionPanel()
        yield RolloutBoard()
        yield KeyBar(KEYS_BY_IMPORTANCE)

    def on_mount(self) -> None:
        self.query_one(ServerTable).focus()
        self.set_interval(POLL_INTERVAL_S, self._poll)
        self._paint()
        self._offer()
        if self._session.links.remote is not None:
            self.run_worker(self._session.links.remote.run(), group="remote", exit_on_error=False)

    # -- showing ------------------------------------------------------------------------------

    def _poll(self) -> None:
        second = int(time.time())
        view, passed = self._poller.view, second != self._second
        self._second = second
        if view is not self._view or (
            passed and any(instance.state != "live" for instance in view.instances)
        ):
            self._paint()  # rows show the age of stale data
        elif passed or self._session.is_rolling or self._remote.running is not None:
            # Sorting thousands of rows again for the clock alone would cost too much.
            self._paint_clock()
            self._paint_board(view)

    def _paint_clock(self) -> None:
        if self._view_model is None:
            return
        shown, status = self._view_model, self._session.consul_status
        if status is not None:
            line = BalancerBadge(NAME, status.state, "", status.age, status.note)
            shown = replace(shown, instances=(*shown.instances, line))
        self.query_one(StatusHeader).show(shown, time.strftime("%H:%M:%S"))

    def _paint(self) -> None:
        self._view = view = self._poller.view
        self._session.index_servers(view)
        self._view_model = now = build_view_model(
            view,
            self._session.application.name,
            self._session.clock.monotonic(),
            self._session.versions.by_node,
            self._session.names,
            self._options,
            self._actions.read_only,
            self._history.describe_change,
        )
        self._paint_clock()
        self._show_rows(now)
        self._paint_board(view)

    def _paint_board(self, view: FleetView) -> None:
        board = self.query_one(RolloutBoard)
        remote = self._remote.running
        shown = bool(self._session.state.nodes) and self._session.state.ended is not self._put_away
        board.set_class(shown or remote is not None, "-shown")
        if remote is not None:
            board.show(remote.state, self._session.clock.time(), remote.words, {})
        elif shown:
            self._paint_rollout(view)
        self._refresh_keys()

    def _paint_rollout(self, view: FleetView) -> None:
        state, plan = self._session.state, self._session.current_plan
        if plan is None or any(name not in state.nodes for batch in plan.batches for name in batch):
            return  # it has just started: its first event is on the way
        summary = RolloutSummary(
            view, plan, state, self._session.application.balancer_group.backends, self.size.width - 4
        )
        board, now = self.query_one(RolloutBoard), self._session.clock.time()
        board.show(state, now, summary.capacity_line(), summary.differences())
        self.query_one(DecisionPanel).show(build_decision_lines(state, summary.impact(), self._key_names()))

    # -- for the command palette --------------------------------------------------------------

    @property
    def node_names(self) -> Sequence[str]:
        """The names of all nodes, in the order of the inventory."""
        return [node.name for node in self._session.application.nodes]

    def may(self, action: str) -> bool:
        """Return whether `act_on` can do this now."""
        return action in ("look", "log", "shell") or self._actions.may_change(action)

    def act_on(self, action: str, node: str) -> None:
        """Start an action on one node; "look" opens its page, and "log" that with the log."""
        if action in ("look", "log"):
            self._open_detail(("", node), "log" if action == "log" else "state")
        elif action == "shell":
            self.app.run_worker(open_node_shell(self, self._session, node), group="shell", exclusive=True)
        else:
            self._change_now(action, (("", node),))

    # -- doing --------------------------------------------------------------------------------

    def _chosen(self) -> tuple[RowKey, ...]:
        table = self.query_one(ServerTable)
        if table.marked:
            return tuple(sorted(table.marked))
        return (table.cursor_key,) if table.cursor_key is not None else ()

    # Never exclusive: that would cut off an earlier change halfway.
    @work(group="change")
    async def _change_now(self, action: str, keys: tuple[RowKey, ...]) -> None:
        if await self._actions.change(action, keys):
            self.query_one(ServerTable).clear_marks()

    def action_change(self, action: str) -> None:
        # The keys are taken now: a re-sort while the dialog is open must not change whom it means.
        self._change_now(action, self._chosen())

    @work(group="upgrade")
    async def action_upgrade(self) -> None:
        await self._actions.upgrade()

    @work(group="upgrade")
    async def action_resume(self) -> None:
        await self._actions.resume()

    @work(group="upgrade")
    async def action_roll_back(self) -> None:
        await self._actions.roll_back()

    @work(group="offer")
    async def _offer(self) -> None:
        await self._actions.offer_resume()

    @work(group="ask")
    async def _ask(self, what: ControlAction) -> None:
        await self._remote.request(what)

    def action_answer(self, choice: ControlAction) -> None:
        if self._remote.running is not None:
            self._ask(choice)
            return
        questions = self._session.control.questions
        if questions and choice in (CONTINUE, RETRY, BACK, SKIP):
            self._session.control.answer(questions[0].id, choice, current_operator("console"))

    def action_pause(self) -> None:
        control = self._session.control
        if (remote := self._remote.running) is not None:
            self._ask("resume" if remote.paused else "pause")
        elif control.paused:
            control.resume(current_operator("console"))
        else:
            control.pause(current_operator("console"))

    @work(group="abort", exclusive=True)
    async def action_abort(self) -> None:
        if self._remote.running is not None:
            await self._remote.request("abort")
        else:
            await self._actions.abort()

    @work(group="application", exclusive=True)
    async def action_application(self) -> None:
        from widgets.dialogs.modal import SelectDialog

        here = self._session.application.name
        picked = await self.app.push_screen_wait(SelectDialog("Application", self._applications, here))
        if picked not in (None, here) and not self._actions.why_not("application"):
            self.app.exit(SWITCH + picked)

    def action_put_away(self) -> None:
        """Close the filter, or else the board of a rollout that has ended."""
        if not self.clear_filter() and self._session.state.ended is not None:
            self._put_away = self._session.state.ended
            self._paint()

    def action_transcript(self) -> None:
        from console.tui.screens.detail import TranscriptScreen

        self.app.push_screen(TranscriptScreen(self._records))

    def action_chart(self) -> None:
        from console.tui.screens.chart import ChartScreen

        def read() -> RolloutState:
            remote = self._remote.running
            return self._session.state if remote is None else remote.state

        self.app.push_screen(ChartScreen(read))

    @on(ServerTable.Chosen)
    def _row_chosen(self, event: ServerTable.Chosen) -> None:
        self._open_detail(event.key)

    def _open_detail(self, key: RowKey, tab: Tab = "state") -> None:
        from console.tui.screens.detail import DetailScreen

        page = DetailScreen(key, self._session, self._poller, self._records, self._actions, tab)
        self.app.push_screen(page)

    def action_node_log(self) -> None:
        if (key := self.query_one(ServerTable).cursor_key) is not None:
            self._open_detail(key, "log")

    def action_node_shell(self) -> None:
        if (key := self.query_one(ServerTable).cursor_key) is not None:
            self.act_on("shell", self._session.names.get(key, key[1]))

    @work(group="quit", exclusive=True)
    async def action_quit_console(self) -> None:
        answer = await self._actions.quit()
        if answer is not None:
            self.app.exit(answer)
