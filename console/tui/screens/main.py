"""The main view: all servers live, below them the rollout, and the keys that work now."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from backends.consul.settings import NAME
from console.tui.command_targets import CommandTargets
from console.tui.node_shell import open_node_shell
from console.tui.screens.main_keys import KEYS_BY_IMPORTANCE, MAIN_BINDINGS
from console.tui.screens.main_panes import MainPanes
from console.tui.screens.rollout_summary import RolloutSummary
from console.tui.workers import start_worker
from console.tui.workspace import Workspace
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.events import RolloutEnded
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.journal.reader import HistoryReader
from orchestrator.live.poller import FleetView
from orchestrator.session.active_rollout import ActiveRollout
from widgets.decision_panel import DecisionPanel, build_decision_lines, build_unfinished_lines
from widgets.detail.tabs import Tab
from widgets.footer import KeyBar
from widgets.key_names import name_keys
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
    MainScreen { overflow: hidden; }
    MainScreen > RolloutBoard { height: auto; max-height: 45%; display: none; }
    MainScreen > RolloutBoard.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = MAIN_BINDINGS

    class Left(Message):
        """The operator has left the application; where it is the only one, nothing happens."""

    class ApplicationAsked(Message):
        """The operator wants another application."""

    def __init__(self, workspace: Workspace, applications: Sequence[str] = ()) -> None:
        """Create the screen; it is filled when it is mounted.

        Args:
            workspace: of the application.
            applications: the names of all applications of the configuration.
        """
        super().__init__(workspace, applications)
        self._view: FleetView | None = None
        self._view_model: MainViewModel | None = None
        self._second = -1
        self._put_away: object = None  # the state of the rollout whose board was put away
        self._watched: ActiveRollout | None = None  # the rollout that ran when it was looked at last

    def compose(self) -> ComposeResult:
        yield StatusHeader()
        yield ServerTable()
        yield FilterLine()
        yield self._build_filter_box("part of a node, backend or state")
        yield LivePanes()
        yield DecisionPanel()
        yield RolloutBoard()
        yield KeyBar(KEYS_BY_IMPORTANCE)

    def on_mount(self) -> None:
        self.query_one(ServerTable).focus()
        self.set_interval(POLL_INTERVAL_S, self._poll)
        self._paint()
        self._offer()

    # -- showing ------------------------------------------------------------------------------

    def _poll(self) -> None:
        if self not in self.app.screen_stack:
            return  # another application is shown
        second = int(time.time())
        view, passed = self._poller.view, second != self._second
        self._second = second
        if view is not self._view or (
            passed and any(instance.state != "live" for instance in view.instances)
        ):
            self._paint()  # rows show the age of stale data
        elif passed or self._requests.running is not None or self._watched is not None:
            # Sorting thousands of rows again for the clock alone would cost too much.
            self._paint_clock()
            self._paint_board(view)
        self._watch_end()

    def _watch_end(self) -> None:
        """Show how a rollout has ended that was seen to run."""
        watched, self._watched = self._watched, self._requests.running
        if watched is None or watched.running:
            return
        if watched.state.ended is not None:
            self._show_result(watched.state.ended, watched.state.verdict)
        elif watched.interrupted:
            text = f"the rollout was interrupted: {watched.words}"
            self.notify(text, severity="error", markup=False, timeout=20)

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
        active = self._workspace.active
        shown = active is not None and bool(active.state.nodes) and active.state is not self._put_away
        self.query_one(RolloutBoard).set_class(shown, "-shown")
        if active is not None and shown:
            self._paint_rollout(view, active)
        if active is not None and active.running:
            self._actions.unfinished = ()
        else:
            lines = build_unfinished_lines(self._actions.unfinished, name_keys(self))
            self.query_one(DecisionPanel).show(lines)
        self._refresh_keys()

    def _paint_rollout(self, view: FleetView, active: ActiveRollout) -> None:
        state, plan = active.state, active.plan
        board, now = self.query_one(RolloutBoard), self._session.clock.time()
        words = "" if self._workspace.is_own and active.running else active.words
        if active.running and not active.is_local:
            words += "; {pause} and {abort} send requests".format(**name_keys(self))
        if active.is_local and active.problem:
            words = f"✗ cannot be followed: {active.problem}"
        interruption = words if active.interrupted else ""
        if interruption and active.records:
            now = active.records[-1].at  # nothing goes on since
        if plan is None or any(name not in state.nodes for batch in plan.batches for name in batch):
            board.show(state, now, words, {}, interruption)
            impact: Sequence[str] = ()
        else:
            backends = self._session.application.balancer_group.backends
            summary = RolloutSummary(view, plan, state, backends, self.size.width - 4)
            notes = [summary.capacity_line(), words] if active.running else [words]
            board.show(state, now, " · ".join(filter(None, notes)), summary.differences(), interruption)
            impact = summary.impact()
        lines = build_decision_lines(state, impact, name_keys(self)) if active.running else []
        self.query_one(DecisionPanel).show(lines)

    @property
    def application_name(self) -> str:
        """The name of the application."""
        return self._workspace.name

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
            start_worker(
                self.app, partial(open_node_shell, self, self._session, node), group="shell", exclusive=True
            )
        else:
            self._change_now(action, (("", node),))

    # -- doing --------------------------------------------------------------------------------

    def _chosen(self) -> tuple[RowKey, ...]:
        table = self.query_one(ServerTable)
        if table.marked:
            return tuple(sorted(table.marked))
        return (table.cursor_key,) if table.cursor_key is not None else ()

    def command_targets(self) -> CommandTargets:
        """Return the lines for which a command of the operator's own is run."""
        return CommandTargets(self._session, self._actions.read_only, self._chosen())

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
    async def action_answer(self, choice: ControlAction) -> None:
        await self._requests.answer(choice)

    @work(group="ask")
    async def action_pause(self) -> None:
        await self._requests.pause_or_resume()

    @work(group="cut", exclusive=True)
    async def action_cut_wait(self) -> None:
        await self._requests.cut_wait()

    @work(group="abort", exclusive=True)
    async def action_abort(self) -> None:
        await self._requests.abort()

    @work(group="result")
    async def _show_result(self, ended: RolloutEnded, verdict: VerdictChanged | None) -> None:
        await self._actions.show_result(ended, verdict)

    def action_application(self) -> None:
        self.post_message(self.ApplicationAsked())

    def action_put_away(self) -> None:
        """Clear the filter, the marks or the board of an ended rollout, or else leave the application."""
        active = self._workspace.active
        if self.clear_table():
            return
        if active is not None and not active.running and active.state is not self._put_away:
            self._put_away = active.state
            self._paint()
            return
        self.post_message(self.Left())

    def action_transcript(self) -> None:
        from console.tui.screens.detail import TranscriptScreen

        self.app.push_screen(TranscriptScreen(self._workspace.records))

    def action_history(self) -> None:
        from console.tui.screens.history import HistoryScreen

        reader = HistoryReader(self._session.work_log.path)
        self.app.push_screen(HistoryScreen(reader, self._session.application.name))

    def action_chart(self) -> None:
        from console.tui.screens.chart import ChartScreen

        def read() -> RolloutState:
            active = self._workspace.active
            return active.state if active is not None else RolloutState()

        self.app.push_screen(ChartScreen(read))

    @on(ServerTable.Chosen)
    def _row_chosen(self, event: ServerTable.Chosen) -> None:
        self._open_detail(event.key)

    def _open_detail(self, key: RowKey, tab: Tab = "state") -> None:
        from console.tui.screens.detail import DetailScreen

        records = self._workspace.records
        page = DetailScreen(key, self._session, self._poller, records, self._actions, tab)
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
