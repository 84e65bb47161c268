"""The console: a Textual App over a session. Wiring only; it can go while the session goes on."""

import asyncio
from collections import deque
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from console.screens.main import MainScreen
from console.session import Session
from orchestrator.events import Record
from orchestrator.watch import Watch


class Console(App[str]):
    """Shows a session. Its result says what to do with a rollout that still runs: see `QuitDialog`.

    Attributes:
        records: what happened since the console opened, for the transcript.
    """

    TITLE = "Rolldeck"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "show_help_panel", "help", id="help", tooltip="Keys of what has the focus")
    ]

    def __init__(self, session: Session, watch: Watch, read_only: str = "") -> None:
        """
        Args:
            session: what works; it must outlive the console.
            watch: the live state, which somebody else runs.
            read_only: why nothing may be changed; empty when it may.
        """
        super().__init__()
        self.session = session
        self._live = watch
        self.read_only_because = read_only
        self.records = deque[Record](maxlen=20_000)
        # Only collected here: a reader of the bus that raised would stop the rollout.
        self._unsubscribe = session.bus.subscribe(self.records.append)

    def on_load(self) -> None:
        # From Python 3.12 on Textual makes all tasks of the loop start eagerly. The loop is the session's
        # too, and asyncssh's server, which the demo's nodes have, then never answers a log-in.
        asyncio.get_running_loop().set_task_factory(None)

    def on_mount(self) -> None:
        self.push_screen(MainScreen(self.session, self._live, self.records, self.read_only_because))

    def on_unmount(self) -> None:
        self._unsubscribe()
