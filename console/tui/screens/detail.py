"""The screens that open over the main view: the detail of one node, and the transcript."""

import asyncio
import time
from collections import deque
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer

from backends.local_files import write_beside
from backends.model import ServerRef
from backends.text import visible
from console.tui.command_targets import CommandTargets
from console.tui.node_journal import JournalReader
from console.tui.node_shell import find_node, open_node_shell
from console.tui.screens.actions import OperatorActions
from console.tui.workers import start_worker
from orchestrator.events.events import Record
from orchestrator.live.node_checks import NodeCheck, read_checks
from orchestrator.live.poller import LiveView, SessionPoller, select_with_sessions
from orchestrator.live.service_log import follow_log
from orchestrator.session.rollout_holds import describe_hold
from orchestrator.session.session import Session
from widgets.detail.log_view import LogView
from widgets.detail.model import Detail, NodeJournal
from widgets.detail.tabs import TABS, Tab, TabBar
from widgets.detail.view import DetailTitle, DetailView
from widgets.dialogs.overlay import Overlay
from widgets.footer import KeyBar
from widgets.table.by_server import RowKey, merge_by_name
from widgets.transcript import Transcript

POLL_INTERVAL_S = 0.1  # how often the screen checks for changes to show
CHECK_INTERVAL_S = 5.0  # between two of Rolldeck's own checks
LINES_AT_FIRST = 500  # of the log
MANY_LINES = 200  # that arrive together
MANY_LINES_PAUSE_S = 0.1
KEYS_BY_IMPORTANCE = (
    *("back", "help", "node-log", "node-shell", "search", "follow", "search-next", "drain", "maint", "ready"),
    "copy",
    "weight",
)


class DetailScreen(Overlay[None]):
    """The page of one node, with tabs. Sessions and the log are read only while it is open.

    Args:
        key: backend and server name of one of the node's lines.
        session: of the application.
        poller: of the load balancers.
        records: what happened since the console opened.
        actions: those of the main view, so that a change here works as it does there.
        tab: which tab is open at first.
    """

    HELP = """
# One node
**State**: each load balancer has a column; **owner** says who took the node out, as far as HAProxy
reports it, and what ends that. **Sessions** are what a drain waits for, oldest first; **CUT AFTER** is the
seconds of silence left before HAProxy ends one. **Checks** are HAProxy's. **Log** is that of the service.
**Journal** has who did what here, when and why, and below it the commands that this console sent, `>`, with
the replies, `<`.

`d` `m` `e` `w` act on this node, as in the main view, with the impact shown before.
"""
    DEFAULT_CSS = """
    DetailScreen { layout: vertical; }
    DetailScreen > LogView { height: 1fr; display: none; }
    DetailScreen.-log > LogView { display: block; }
    DetailScreen.-log > DetailView { display: none; }
    """
    # The same ids as in the main view: a key that is remapped there means the same here.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "back", id="back", tooltip="Back to the main view"),
        Binding("l", "tab('log')", "log", id="node-log", tooltip="The log of the service, as it is written"),
        Binding("S", "shell", "shell", id="node-shell", tooltip="A shell on the node; `exit` comes back"),
        Binding("d", "change('drain')", "drain", id="drain", tooltip="No new traffic; sessions continue"),
        Binding("m", "change('maint')", "maint", id="maint", tooltip="Maintenance, at once"),
        Binding("e", "change('ready')", "ready", id="ready", tooltip="Back in rotation, after health checks"),
        Binding("w", "change('weight')", "weight", id="weight", tooltip="Set the weight"),
        Binding("y", "copy", "copy", id="copy", tooltip="Copy this page, or the log, to the clipboard"),
        Binding("tab", "next_tab(1)", "next tab", id="tab-next", tooltip="The next tab", show=False),
        Binding("shift+tab", "next_tab(-1)", "tab before", id="tab-previous", tooltip="Back", show=False),
        *(
            Binding(str(number), f"tab('{tab}')", tab, id=f"tab-{tab}", tooltip=f"Open {tab}", show=False)
            for number, tab in enumerate(TABS, 1)
        ),
    ]

    def __init__(
        self,
        key: RowKey,
        session: Session,
        poller: LiveView,
        records: deque[Record],
        actions: OperatorActions,
        tab: Tab = TABS[0],
    ) -> None:
        super().__init__()
        self._key = key
        self._node = session.names.get(key, key[1])
        self._session = session
        self._poller = poller
        self._records = records
        self._actions = actions
        self._tab: Tab = tab
        self._in_flight = SessionPoller(session.application.balancer_group, session.clock)
        self._journal = NodeJournal(self._node)
        self._entries = JournalReader(session, self._node)
        self._shown: tuple[object, ...] = ()
        self._reads_log = False
        self._own_checks: tuple[NodeCheck, ...] = ()

    def compose(self) -> ComposeResult:
        yield DetailTitle()
        yield TabBar()
        yield DetailView()
        yield LogView()
        yield KeyBar(KEYS_BY_IMPORTANCE)

    def on_mount(self) -> None:
        self.action_tab(self._tab)
        self.set_interval(POLL_INTERVAL_S, self._poll)
        # They end with the screen: sessions and journal are read only while it is open.
        start_worker(self, self._in_flight.run, group="sessions")
        start_worker(self, self._entries.run, group="entries")
        start_worker(self, self._check_node, group="checks")

    def _poll(self) -> None:
        view, seen = self._poller.view, self._in_flight.latest
        rows = merge_by_name(view, self._session.names).rows
        keys = tuple(key for key, node in zip(rows.keys, rows.nodes, strict=True) if node == self._node)
        keys = keys or (self._key,)
        self._in_flight.select(select_with_sessions(view, keys))
        paths = {(instance.name, "/".join(key)) for instance in view.instances for key in keys}
        news = self._journal.follow(self._records, paths)
        may_change = self._actions.may_change("change")
        state = (self._tab, view, seen, self._entries.latest, self._own_checks, int(time.time()), may_change)
        if news or state != self._shown:
            self._paint(keys)
            if state[-1:] != self._shown[-1:]:
                self.refresh_bindings()
            self._shown = state

    def _paint(self, keys: tuple[RowKey, ...]) -> None:
        detail = Detail(
            node=self._node,
            keys=keys,
            version=self._session.versions.by_node.get(self._node, ""),
            view=self._poller.view,
            in_flight=self._in_flight.latest,
            journal=tuple(self._journal.lines),
            entries=self._entries.latest,
            own_checks=self._own_checks,
            unread=self._entries.unread,
            now=self._session.clock.monotonic(),
            rollouts=self._find_rollouts(keys),
        )
        self.query_one(DetailTitle).show(detail, time.strftime("%H:%M:%S"))
        self.query_one(DetailView).show(detail, self._tab)

    # -- tabs ---------------------------------------------------------------------------------

    def action_tab(self, tab: Tab) -> None:
        self._tab = tab
        if not self.query(TabBar):
            return  # it was typed ahead: the tab is opened as soon as the page is there
        self.set_class(tab == "log", "-log")
        self.query_one(TabBar).show(tab)
        if tab == "log":
            self.query_one(LogView).focus()
            if not self._reads_log:
                self._reads_log = True
                start_worker(self, self._follow_log, group="log")
        else:
            self.query_one(DetailView).focus()
        self._poll()

    def action_next_tab(self, direction: int) -> None:
        self.action_tab(TABS[(TABS.index(self._tab) + direction) % len(TABS)])

    @on(TabBar.Chosen)
    def _tab_clicked(self, event: TabBar.Chosen) -> None:
        self.action_tab(event.tab)

    async def _check_node(self) -> None:
        """Make Rolldeck's own checks again and again while their tab is open."""
        node = find_node(self._session, self._node)
        while node is not None:
            if self._tab == "checks":
                self._own_checks = await read_checks(node)
            await asyncio.sleep(CHECK_INTERVAL_S if self._tab == "checks" else POLL_INTERVAL_S)

    async def _follow_log(self) -> None:
        """Read the log from its last lines on, as long as the page is open."""
        log, node = self.query_one(LogView), find_node(self._session, self._node)
        if node is None:
            log.add_note("this server of HAProxy is no node that Rolldeck knows, and has no log here")
            return
        async with aclosing(follow_log(node, LINES_AT_FIRST, self._session.clock)) as parts:
            async for part in parts:
                if part.source:
                    log.show_source(part.source)
                log.add(part.lines)
                if part.note:
                    log.add_note(part.note)
                if len(part.lines) >= MANY_LINES:
                    await asyncio.sleep(MANY_LINES_PAUSE_S)  # a node that writes without end has to wait

    # -- actions ------------------------------------------------------------------------------

    def _find_rollouts(self, keys: tuple[RowKey, ...]) -> dict[ServerRef, str]:
        """Return the rollout that keeps a server out, where one is known to."""
        refs = [ServerRef(instance.name, *key) for instance in self._poller.view.instances for key in keys]
        return {ref: hold for ref in refs if (hold := describe_hold(self._session, ref, self._node))}

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return None to gray a key out that is not possible now."""
        if action == "change":
            return True if self._actions.may_change(action) else None
        return True

    def action_change(self, action: str) -> None:
        # The app's worker and not ours: a change must not be cut off halfway because this screen closes.
        start_worker(self.app, partial(self._actions.change, action, (self._key,)), group="change")

    def command_targets(self) -> CommandTargets:
        """Return the line for which a command of the operator's own is run."""
        return CommandTargets(self._session, self._actions.read_only, (self._key,))

    def action_shell(self) -> None:
        start_worker(
            self.app, partial(open_node_shell, self, self._session, self._node), group="shell", exclusive=True
        )

    def action_copy(self) -> None:
        text = self.query_one(LogView).lines_as_text() if self._tab == "log" else ""
        self.app.copy_to_clipboard(text or self.query_one(DetailView).as_text())
        self.notify("copied", timeout=2)


class TranscriptScreen(Overlay[None]):
    """Every command and every raw reply of the session, so that an operator can continue manually."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,t,q", "leave", "back", id="back", tooltip="Back to the main view"),
        Binding("y", "copy", "copy", id="copy", tooltip="Copy all of it to the clipboard"),
        Binding("ctrl+s", "save", "save", id="save", tooltip="Write it to a file here"),
    ]

    def __init__(self, records: deque[Record]) -> None:
        super().__init__()
        self._records = records
        self._last = 0

    def compose(self) -> ComposeResult:
        yield Transcript()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._follow()
        self.set_interval(0.25, self._follow)
        self.query_one(Transcript).focus()

    def _follow(self) -> None:
        transcript = self.query_one(Transcript)
        for record in tuple(self._records):
            if record.seq > self._last:
                transcript.add(record)
                self._last = record.seq

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.query_one(Transcript).lines_as_text())
        self.notify("copied", timeout=2)

    def action_save(self) -> None:
        content = self.query_one(Transcript).lines_as_text().encode()
        try:
            path = write_beside(Path("rolldeck-transcript.txt"), content)
        except OSError as error:
            self.notify(f"the transcript cannot be saved: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"saved to {visible(str(path.absolute()))}", markup=False)
