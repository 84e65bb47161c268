"""The main view: every server live, the rollout below it, and what can be done next."""

import time
from collections import deque
from dataclasses import replace
from typing import ClassVar, get_args

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input

from console.screens.acting import Acting
from console.session import Session, operator
from orchestrator.control import GO, RETRY, SKIP
from orchestrator.events import Record
from orchestrator.watch import Watch
from widgets.board import RolloutBoard
from widgets.header import StatusHeader
from widgets.model import Arrangement, Key, Sort
from widgets.rows import picture
from widgets.server_table import ServerTable
from widgets.text import visible

SORTS: tuple[Sort, ...] = get_args(Sort)
LOOK_SECONDS = 0.1  # how often we look whether there is something new to show


class MainScreen(Screen[str]):
    """Reads the watch and the session's state, and turns keys into questions to `Acting`."""

    HELP = """
# Main view
Each row is a server of HAProxy, over all load balancers. **ADMIN** is what somebody decided, **HEALTH** is
how it is: the two are never mixed. The marks under **LB** say for each load balancer whether the server is
in rotation.
"""
    DEFAULT_CSS = """
    MainScreen { layout: vertical; }
    MainScreen > ServerTable { height: 1fr; }
    MainScreen > RolloutBoard { height: auto; max-height: 60%; display: none; }
    MainScreen > RolloutBoard.-shown { display: block; }
    MainScreen > #filter { display: none; height: 1; border: none; padding: 0 1; }
    MainScreen > #filter.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "upgrade", "upgrade", id="upgrade", tooltip="Choose a version, look at the plan, start"),
        Binding("space", "answer('go')", "next", id="next", tooltip="Go on with what waits for you"),
        Binding(
            "p", "pause", "pause", id="pause", tooltip="Pause or resume the rollout; deadlines stand still"
        ),
        Binding("r", "answer('retry')", "retry", id="retry", tooltip="Try the failed node again"),
        Binding("s", "answer('skip')", "skip", id="skip", tooltip="Leave this node as it is and go on"),
        Binding("a", "abort", "abort", id="abort", tooltip="End the rollout after the running step"),
        Binding("d", "change('drain')", "drain", id="drain", tooltip="No new traffic; sessions go on"),
        Binding("m", "change('maint')", "maint", id="maint", tooltip="Maintenance, at once"),
        Binding("e", "change('ready')", "ready", id="ready", tooltip="Back in rotation, proven first"),
        Binding("w", "change('weight')", "weight", id="weight", tooltip="Set the weight", show=False),
        Binding("slash", "filter", "filter", id="filter", tooltip="Show only rows with this text"),
        Binding("o", "sort", "order", id="sort", tooltip="Next order: problems, node, sessions, rate, ..."),
        Binding("b", "backend", "backend", id="backend", tooltip="Next backend", show=False),
        Binding(
            "exclamation_mark", "problems", "problems", id="problems", tooltip="Only problems", show=False
        ),
        Binding("t", "transcript", "log", id="transcript", tooltip="Every command and every raw reply"),
        Binding("q", "quit_console", "quit", id="quit", tooltip="Leave; a running rollout is asked about"),
    ]

    def __init__(self, session: Session, watch: Watch, records: deque[Record], read_only: str) -> None:
        super().__init__()
        self._session = session
        self._watch = watch
        self._records = records
        self._acting = Acting(self, session, read_only)
        self._arrangement = Arrangement()
        self._view: object = None
        self._second = -1
        self._possible: object = None  # of the keys in the footer

    def compose(self) -> ComposeResult:
        yield StatusHeader()
        yield ServerTable()
        yield Input(placeholder="filter: part of a node, backend or state", id="filter", compact=True)
        yield RolloutBoard()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(ServerTable).focus()
        self.set_interval(LOOK_SECONDS, self._look)
        self._paint()

    # -- showing ------------------------------------------------------------------------------

    def _look(self) -> None:
        second = int(time.time())
        if self._watch.view is not self._view or second != self._second or self._session.rolling:
            self._second = second
            self._paint()

    def _paint(self) -> None:
        self._view = view = self._watch.view
        self._session.learn(view)
        now = picture(
            view,
            self._session.application.name,
            self._session.clock.monotonic(),
            self._session.versions,
            self._session.names,
            self._arrangement,
            self._acting.read_only,
        )
        self.query_one(StatusHeader).show(now, time.strftime("%H:%M:%S"))
        self.query_one(ServerTable).show(now.rows, len(now.instances))
        board = self.query_one(RolloutBoard)
        board.set_class(bool(self._session.state.nodes), "-shown")
        if self._session.state.nodes:
            board.show(self._session.state, self._session.clock.time())
        self._refresh_keys()

    def _refresh_keys(self) -> None:
        """Only when another key works now: it rebuilds the footer, too dear for ten times a second."""
        control = self._session.control
        possible = (
            self._session.rolling,
            self._acting.may_change("change"),
            self._acting.may_change("upgrade"),
            control.questions[:1],
        )
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    # -- what is shown ------------------------------------------------------------------------

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.add_class("-shown")
        box.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._arrange(replace(self._arrangement, filter=event.value))

    @on(Input.Submitted, "#filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.input.set_class(bool(event.value), "-shown")
        self.query_one(ServerTable).focus()

    def action_sort(self) -> None:
        following = SORTS[(SORTS.index(self._arrangement.sort) + 1) % len(SORTS)]
        self._arrange(replace(self._arrangement, sort=following))
        self.notify(f"order: {following}", timeout=2)

    def action_problems(self) -> None:
        self._arrange(replace(self._arrangement, problems_only=not self._arrangement.problems_only))

    def action_backend(self) -> None:
        names = ["", *self._session.application.fleet.backends]
        following = names[(names.index(self._arrangement.backend) + 1) % len(names)]
        self._arrange(replace(self._arrangement, backend=following))
        self.notify(f"backend: {visible(following) or 'all'}", timeout=2, markup=False)

    def _arrange(self, arrangement: Arrangement) -> None:
        self._arrangement = arrangement
        self._paint()

    # -- doing --------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None greys a key out: it is there, but not possible now."""
        if action in ("change", "upgrade"):
            return True if self._acting.may_change(action) else None
        control = self._session.control
        if action in ("pause", "abort"):
            return True if self._session.rolling else False
        if action == "answer":
            choices = control.questions[0].choices if self._session.rolling and control.questions else ()
            return parameters[0] in choices
        return True

    def _chosen(self) -> tuple[Key, ...]:
        table = self.query_one(ServerTable)
        if table.marked:
            return tuple(sorted(table.marked))
        return (table.cursor_key,) if table.cursor_key is not None else ()

    # Never exclusive: that would cut off the change before it half way, and what waits for a result.
    @work(group="change")
    async def action_change(self, action: str) -> None:
        # The keys are taken now: a re-sort while the dialog is open must not change whom it means.
        if await self._acting.change(action, self._chosen()):
            self.query_one(ServerTable).clear_marks()

    @work(group="upgrade")
    async def action_upgrade(self) -> None:
        await self._acting.upgrade()

    def action_answer(self, choice: str) -> None:
        questions = self._session.control.questions
        if questions and choice in (GO, RETRY, SKIP):
            self._session.control.answer(questions[0].id, choice, operator())

    def action_pause(self) -> None:
        control = self._session.control
        if control.paused:
            control.resume(operator())
        else:
            control.pause(operator())

    @work(group="abort", exclusive=True)
    async def action_abort(self) -> None:
        await self._acting.abort()

    def action_transcript(self) -> None:
        from console.screens.transcript import TranscriptScreen

        self.app.push_screen(TranscriptScreen(self._records))

    @work(group="quit", exclusive=True)
    async def action_quit_console(self) -> None:
        answer = await self._acting.quit()
        if answer is not None:
            self.app.exit(answer)
