"""Sorting, filtering and grouping of the server table."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from textual import on
from textual.screen import Screen
from textual.widgets import Input

from backends.text import visible
from orchestrator.live.poller import Poller
from orchestrator.session.session import Session
from widgets.table.by_node import translate_keys
from widgets.table.widget import ServerTable
from widgets.view_model import GroupBy, Sort, TableOptions

SORTS: Sequence[Sort] = get_args(Sort)


class SortAndFilter(Screen[str]):
    """The part of the main view that sorts, filters and groups the rows."""

    def __init__(self, session: Session, watch: Poller) -> None:
        super().__init__()
        self._session = session
        self._watch = watch
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
        table.mark(translate_keys(table.marked, self._watch.view, self._session.names, by))
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
