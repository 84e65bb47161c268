"""The keys of the main view, and the actions of those that sort, filter and group its table."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from backends.text import visible
from orchestrator.live.poller import Poller
from orchestrator.session.session import Session
from widgets.table.by_node import translate_keys
from widgets.table.model import Sort, TableOptions
from widgets.table.widget import ServerTable

if TYPE_CHECKING:
    from widgets.table.by_server import GroupBy

SORTS: Sequence[Sort] = get_args(Sort)

KEYS_BY_IMPORTANCE = (
    *("continue", "retry", "skip", "abort", "pause", "help", "quit", "upgrade", "drain", "maint", "ready"),
    *("filter", "transcript", "sort"),
)
"""The keys that stay in the footer where there is no room for all, most important first."""

MAIN_BINDINGS: list[BindingType] = [
    Binding("u", "upgrade", "upgrade", id="upgrade", tooltip="Choose a version, review the plan, start"),
    Binding("space", "answer('continue')", "continue", id="continue", tooltip="Continue"),
    Binding("p", "pause", "pause", id="pause", tooltip="Pause or resume the rollout; deadlines are stopped"),
    Binding("r", "answer('retry')", "retry", id="retry", tooltip="Try the failed node again"),
    Binding("s", "answer('skip')", "skip", id="skip", tooltip="Leave this node as it is and continue"),
    Binding("a", "abort", "abort", id="abort", tooltip="End the rollout after the running step"),
    Binding("d", "change('drain')", "drain", id="drain", tooltip="No new traffic; sessions continue"),
    Binding("m", "change('maint')", "maint", id="maint", tooltip="Maintenance, at once"),
    Binding("e", "change('ready')", "ready", id="ready", tooltip="Back in rotation, after health checks"),
    Binding("w", "change('weight')", "weight", id="weight", tooltip="Set the weight", show=False),
    Binding(
        "R",
        "roll_back",
        "roll back",
        id="roll-back",
        tooltip="Roll back to the previous versions",
        show=False,
    ),
    Binding("ctrl+r", "resume", "resume", id="resume", tooltip="Finish an unfinished rollout", show=False),
    Binding("slash", "filter", "filter", id="filter", tooltip="Show only rows with this text"),
    Binding(
        "o",
        "sort",
        "sort",
        id="sort",
        tooltip="Next sort order: problems, node, sessions, ...",
        show=False,
    ),
    Binding("O", "reverse", "reverse", id="reverse", tooltip="Reverse the sort order", show=False),
    Binding("v", "view", "group", id="view", tooltip="Group servers by node, over all backends"),
    Binding("b", "backend", "backend", id="backend", tooltip="Next backend", show=False),
    Binding("exclamation_mark", "problems", "problems", id="problems", tooltip="Only problems", show=False),
    Binding("g", "application", "application", id="application", tooltip="Go to another application"),
    Binding(
        "escape",
        "put_away",
        "close",
        id="put-away",
        tooltip="Close the filter, then the board of a rollout that has ended",
        show=False,
    ),
    Binding("t", "transcript", "log", id="transcript", tooltip="Every command and every raw reply"),
    Binding("q", "quit_console", "quit", id="quit", tooltip="Quit; asks what to do with a running rollout"),
]


class SortAndFilter(Screen[str]):
    """The part of the main view that sorts, filters and groups the rows."""

    def __init__(self, session: Session, poller: Poller) -> None:
        super().__init__()
        self._session = session
        self._poller = poller
        self._options = TableOptions()

    @abstractmethod
    def _paint(self) -> None:
        """Show everything with the current options."""

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.add_class("-shown")
        box.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._apply_options(replace(self._options, filter=event.value))

    @on(Input.Submitted, "#filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.set_class(bool(event.value), "-shown")
        self.query_one(ServerTable).focus()

    def clear_filter(self) -> bool:
        """Clear the filter; return whether there was one."""
        box = self.query_one("#filter", Input)
        there = bool(box.value) or box.has_focus
        box.value = ""
        box.remove_class("-shown")
        if there:
            self.query_one(ServerTable).focus()
        return there

    def action_sort(self) -> None:
        following = SORTS[(SORTS.index(self._options.sort) + 1) % len(SORTS)]
        self._apply_options(self._options.sorted_by(following))
        self.notify(f"sorted by {following}", timeout=2)

    def action_reverse(self) -> None:
        self._apply_options(self._options.sorted_by(self._options.sort))

    @on(ServerTable.Ordered)
    def _ordered(self, event: ServerTable.Ordered) -> None:
        self._apply_options(self._options.sorted_by(event.sort))

    def action_view(self) -> None:
        by: GroupBy = "server" if self._options.by == "node" else "node"
        table = self.query_one(ServerTable)
        table.mark(translate_keys(table.marked, self._poller.view, self._session.names, by))
        self._apply_options(replace(self._options, by=by))

    def action_problems(self) -> None:
        self._apply_options(replace(self._options, problems_only=not self._options.problems_only))

    def action_backend(self) -> None:
        names = ["", *self._session.application.balancer_group.backends]
        following = names[(names.index(self._options.backend) + 1) % len(names)]
        self._apply_options(replace(self._options, backend=following))
        self.notify(f"backend: {visible(following) or 'all'}", timeout=2, markup=False)

    def _apply_options(self, options: TableOptions) -> None:
        self._options = options
        self._paint()
