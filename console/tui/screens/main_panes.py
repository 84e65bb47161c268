"""The panes of the main view: how much room they get, what they show, and the keys that toggle them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import App

from console.tui.screens.main_keys import MainKeys
from console.tui.view_state import ViewState
from console.tui.workers import start_worker
from console.tui.workspace import Workspace
from orchestrator.session.live_history import LiveHistory, live_history
from widgets.panes.live_panes import CHOICES, Choice, LivePanes, share_lines
from widgets.panes.traffic_pane import TrafficPane
from widgets.rollout_board import RolloutBoard
from widgets.table.widget import ServerTable

if TYPE_CHECKING:
    from orchestrator.events.state import RolloutState
    from widgets.table.model import MainViewModel

ARRANGE_INTERVAL_S = 0.1  # how often the room is shared again; it costs nothing while nothing has changed
_MEMORY = ViewState()  # of an app that remembers nothing


class MainPanes(MainKeys):
    """The part of the main view that shows traffic and events below the table."""

    def __init__(self, workspace: Workspace, applications: Sequence[str]) -> None:
        super().__init__(workspace, applications)
        self._history: LiveHistory = live_history(workspace.session, workspace.poller)
        self._row_count = 0

    def on_mount(self) -> None:
        self._history.update()
        self.set_interval(ARRANGE_INTERVAL_S, self._update_panes)
        start_worker(self, self._history.follow_journal, group="journal", exit_on_error=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._update_panes)

    def _show_rows(self, model: "MainViewModel") -> None:
        super()._show_rows(model)
        self._row_count = model.total

    def _update_panes(self) -> None:
        """Share the lines between table and panes, and show what is known now."""
        self._history.update()  # a silence that lasts changes no view
        panes, table = self.query_one(LivePanes), self.query_one(ServerTable)
        lines = table.outer_size.height + panes.outer_size.height
        if not table.outer_size.height:
            return  # it has no size yet
        traffic, events = (self._choice(name) for name in panes.PANES)
        shared = share_lines(lines, self._row_count, self.size.width, traffic, events)
        table.styles.height = lines - shared.total if shared.total else "1fr"
        panes.divide(shared)
        state = self._compared_rollout()
        self.query_one(RolloutBoard).has_chart = not self.query_one(TrafficPane).compares
        traffic_seen, notices = self._history.traffic, self._history.notices
        balancers = len(self._poller.view.instances)
        panes.show(traffic_seen, notices, state, balancers, self._session.clock.time())

    def _compared_rollout(self) -> "RolloutState | None":
        running = self._requests.running
        return running.state if running is not None and running.state.comparison.points else None

    # -- what is remembered -------------------------------------------------------------------

    def _choice(self, name: str) -> Choice:
        chosen = view_state(self.app).get(f"pane.{name}", CHOICES, "auto")
        return next(choice for choice in CHOICES if choice == chosen)

    def action_pane(self, name: str) -> None:
        """Hide a pane that is shown; show one that is hidden, if there is any room."""
        panes = self.query_one(LivePanes)
        shown = bool(getattr(panes.pane_lines, name))
        view_state(self.app).set(f"pane.{name}", "off" if shown else "on")
        self._update_panes()
        if not shown and not getattr(panes.pane_lines, name):
            self.notify("there is no room for this pane now", severity="warning", timeout=4)


def view_state(app: App[str]) -> ViewState:
    """Return what an app remembers of its views."""
    found = getattr(app, "view_state", _MEMORY)
    return found if isinstance(found, ViewState) else _MEMORY
