"""The screens that open over the main view: the detail of one node, and the transcript."""

import time
from collections import deque
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer

from backends.local_files import write_beside
from backends.model import ServerRef
from backends.text import visible
from console.tui.screens.actions import OperatorActions
from orchestrator.events.events import Record
from orchestrator.live.poller import Poller, SessionPoller, select_with_sessions
from orchestrator.session.rollout_holds import describe_hold
from orchestrator.session.session import Session
from widgets.detail.model import Detail, NodeJournal
from widgets.detail.view import DetailTitle, DetailView
from widgets.dialogs.overlay import Overlay
from widgets.table.by_server import RowKey, merge_by_name
from widgets.transcript import Transcript

POLL_INTERVAL_S = 0.1  # how often the screen checks for changes to show


class DetailScreen(Overlay[None]):
    """The detail of one node. It reads the node's sessions only while it is open.

    Args:
        key: backend and server name of one of the node's lines.
        session: of the application.
        poller: of the load balancers.
        records: what happened since the console opened.
        actions: those of the main view, so that a change here works as it does there.
    """

    HELP = """
# One node
Each load balancer has a column. **owner** says who took the node out, as far as HAProxy
reports it, and what ends that. **Sessions** are what a drain waits for, oldest first; **CUT AFTER** is the
seconds of silence left before HAProxy ends one. The **journal** has what was sent, `>`, and the replies, `<`.

`d` `m` `e` `w` act on this node, as in the main view, with the impact shown before.
"""
    DEFAULT_CSS = """
    DetailScreen { layout: vertical; }
    """
    # The same ids as in the main view: a key that is remapped there means the same here.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "back", id="back", tooltip="Back to the main view"),
        Binding("d", "change('drain')", "drain", id="drain", tooltip="No new traffic; sessions continue"),
        Binding("m", "change('maint')", "maint", id="maint", tooltip="Maintenance, at once"),
        Binding("e", "change('ready')", "ready", id="ready", tooltip="Back in rotation, after health checks"),
        Binding("w", "change('weight')", "weight", id="weight", tooltip="Set the weight"),
        Binding("y", "copy", "copy", id="copy", tooltip="Copy this page to the clipboard"),
    ]

    def __init__(
        self, key: RowKey, session: Session, poller: Poller, records: deque[Record], actions: OperatorActions
    ) -> None:
        super().__init__()
        self._key = key
        self._node = session.names.get(key, key[1])
        self._session = session
        self._poller = poller
        self._records = records
        self._actions = actions
        self._in_flight = SessionPoller(session.application.balancer_group, session.clock)
        self._journal = NodeJournal(self._node)
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield DetailTitle()
        yield DetailView()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(DetailView).focus()
        self._poll()
        self.set_interval(POLL_INTERVAL_S, self._poll)
        # It ends with the screen: sessions are read only while they are shown.
        self.run_worker(self._in_flight.run(), group="sessions")

    def _poll(self) -> None:
        view, seen = self._poller.view, self._in_flight.latest
        rows = merge_by_name(view, self._session.names).rows
        keys = tuple(key for key, node in zip(rows.keys, rows.nodes, strict=True) if node == self._node)
        keys = keys or (self._key,)
        self._in_flight.select(select_with_sessions(view, keys))
        paths = {(instance.name, "/".join(key)) for instance in view.instances for key in keys}
        news = self._journal.follow(self._records, paths)
        state = (view, seen, int(time.time()), self._actions.may_change("change"))
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
            now=self._session.clock.monotonic(),
            rollouts=self._find_rollouts(keys),
        )
        self.query_one(DetailTitle).show(detail, time.strftime("%H:%M:%S"))
        self.query_one(DetailView).show(detail)

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
        self.app.run_worker(self._actions.change(action, (self._key,)), group="change")

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.query_one(DetailView).as_text())
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
