"""The keys of the main view: which of them work now, and the actions of those that arrange its table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from textual import events, on
from textual.binding import Binding, BindingType

from backends.text import counted, visible
from console.tui.screens.actions import OperatorActions
from console.tui.screens.rollout_actions import RolloutActions
from console.tui.screens.table_screen import TableScreen
from console.tui.workspace import Workspace
from widgets.footer import KeyBar
from widgets.table.by_node import translate_keys
from widgets.table.filter_line import FilterLine
from widgets.table.model import MainViewModel, Sort, TableOptions
from widgets.table.widget import NO_ROWS, ServerTable

if TYPE_CHECKING:
    from widgets.table.by_server import GroupBy

KEYS_BY_IMPORTANCE = (
    *(
        "continue",
        "retry",
        "back-to-version",
        "skip",
        "abort",
        "pause",
        "help",
        "quit",
        "upgrade",
        "drain",
        "maint",
        "ready",
    ),
    *(
        "filter",
        "table-mark",
        "problems",
        "node-log",
        "transcript",
        "node-shell",
        "sort",
        "resume",
        "roll-back",
        "traffic",
        "events",
        "weight",
    ),
)
"""The keys that stay in the footer where there is no room for all, most important first."""

MAIN_BINDINGS: list[BindingType] = [
    Binding("u", "upgrade", "upgrade", id="upgrade", tooltip="Choose a version, review the plan, start"),
    Binding("space", "answer('continue')", "continue", id="continue", tooltip="Continue"),
    Binding("p", "pause", "pause", id="pause", tooltip="Pause or resume the rollout; deadlines are stopped"),
    Binding("r", "answer('retry')", "retry", id="retry", tooltip="Try the failed node again"),
    Binding(
        "b",
        "answer('back')",
        "back",
        id="back-to-version",
        tooltip="Bring the failed node back to its last healthy version",
    ),
    Binding("s", "answer('skip')", "skip", id="skip", tooltip="Leave this node as it is and continue"),
    Binding(
        "n",
        "cut_wait",
        "wait no longer",
        id="cut-wait",
        tooltip="A drain waits no longer for sessions, or a node that is verified fails now",
        show=False,
    ),
    Binding("a", "abort", "abort", id="abort", tooltip="End the rollout after the running step"),
    Binding("d", "change('drain')", "drain", id="drain", tooltip="No new traffic; sessions continue"),
    Binding("m", "change('maint')", "maint", id="maint", tooltip="Maintenance, at once"),
    Binding("e", "change('ready')", "ready", id="ready", tooltip="Back in rotation, after health checks"),
    Binding("w", "change('weight')", "weight", id="weight", tooltip="Set the weight"),
    Binding("R", "roll_back", "roll back", id="roll-back", tooltip="Roll back to the previous versions"),
    Binding("ctrl+r", "resume", "resume", id="resume", tooltip="Finish an unfinished rollout"),
    Binding("slash", "filter", "filter", id="filter", tooltip="Show only rows with this text"),
    Binding("o", "sort", "sort", id="sort", tooltip="Next sort order: problems, node, sessions, ..."),
    Binding("O", "reverse", "reverse", id="reverse", tooltip="Reverse the sort order"),
    Binding("v", "view", "group", id="view", tooltip="Group servers by node, over all backends"),
    Binding("b", "backend", "backend", id="backend", tooltip="Next backend"),
    Binding("exclamation_mark", "problems", "problems", id="problems", tooltip="Only problems"),
    Binding("g", "application", "application", id="application", tooltip="Go to another application"),
    Binding(
        "escape",
        "put_away",
        "close",
        id="put-away",
        tooltip="Show all rows again, clear the marks, then close the board of a rollout that has ended",
        show=False,
    ),
    Binding("l", "node_log", "log", id="node-log", tooltip="The log of the node's service"),
    Binding("S", "node_shell", "shell", id="node-shell", tooltip="A shell on the node; `exit` comes back"),
    Binding("c", "chart", "chart", id="chart", tooltip="Both versions over the rollout"),
    Binding("1", "pane('traffic')", "traffic", id="traffic", tooltip="Show or hide traffic of ten minutes"),
    Binding("2", "pane('events')", "events", id="events", tooltip="Show or hide what happened last"),
    Binding("t", "transcript", "transcript", id="transcript", tooltip="Every command and every raw reply"),
    Binding("h", "history", "history", id="history", tooltip="Past rollouts and changes, with filters"),
    Binding("q", "quit_console", "quit", id="quit", tooltip="Quit; asks what to do with a running rollout"),
]


class MainKeys(TableScreen[TableOptions]):
    """The part of the main view that handles keys, and that sorts, filters and groups the rows."""

    SORTS = get_args(Sort)
    CLEAR_KEY = "put-away"

    def __init__(self, workspace: Workspace, applications: Sequence[str]) -> None:
        super().__init__(TableOptions())
        self._workspace = workspace
        self._session = workspace.session
        self._poller = workspace.poller
        self._applications = applications
        self._requests = RolloutActions(self, workspace)
        self._actions = OperatorActions(self, workspace, self._requests)
        self._possible_keys: object = None  # what decides which keys work, when they were last shown

    # -- which keys work ----------------------------------------------------------------------

    def _refresh_keys(self) -> None:
        """Rebuild the footer only when other keys work: it is too costly for ten times a second."""
        running = self._requests.running
        possible_keys = (
            self._actions.may_change("change"),
            self._actions.may_change("upgrade"),
            *self._requests.keys_state,
        )
        if possible_keys != self._possible_keys:
            self._possible_keys = possible_keys
            is_paused = running is not None and running.paused
            self.query_one(KeyBar).relabel({"pause": "resume"} if is_paused else {})
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return None to gray a key out that is not possible now."""
        if action in ("change", "upgrade", "resume", "roll_back"):
            return True if self._actions.may_change(action) else None
        if action in ("pause", "abort", "answer", "cut_wait"):
            return self._requests.may(action, parameters)
        if action == "application":
            return len(self._applications) > 1
        return True

    def on_key(self, event: events.Key) -> None:
        """Tell why a disabled key does nothing; no other handler receives it."""
        pressed = self.active_bindings.get(event.key)
        if pressed is not None and not pressed.enabled:
            self._explain(pressed.binding.action.partition("(")[0])

    async def start_action(self, action: str) -> None:
        """Start an action that has a key, or tell why that is not possible now."""
        if self.check_action(action, ()):
            await self.run_action(action)
        else:
            self._explain(action)

    def _explain(self, action: str) -> None:
        self.notify(self._actions.why_not(action), severity="warning", timeout=4, markup=False)

    # -- arranging the table ------------------------------------------------------------------

    def _show_rows(self, model: MainViewModel) -> None:
        """Show the rows, and which ones the options hide."""
        table, shown = self.query_one(ServerTable), len(model.rows)
        table.empty_text = (
            f"0 of {counted(model.total, self._options.by)} match, {self.clear_hint}"
            if model.total
            else NO_ROWS
        )
        table.show(model.rows, len(model.instances), self._options)
        self.query_one(FilterLine).show(self._options, shown, model.total, self.clear_hint)

    @on(ServerTable.Ordered)
    def _ordered(self, event: ServerTable.Ordered) -> None:
        self._apply_options(self._options.sorted_by(event.sort))

    def action_view(self) -> None:
        by: GroupBy = "server" if self._options.by == "node" else "node"
        table = self.query_one(ServerTable)
        table.mark(translate_keys(table.marked, self._poller.view, self._session.names, by))
        self._apply_options(replace(self._options, by=by))

    def action_backend(self) -> None:
        names = ["", *self._session.application.balancer_group.backends]
        following = names[(names.index(self._options.backend) + 1) % len(names)]
        self._apply_options(replace(self._options, backend=following))
        self.notify(f"backend: {visible(following) or 'all'}", timeout=2, markup=False)
