"""Every command and every raw reply, so that an operator can continue manually."""

from collections import deque
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from backends.local_files import write_beside
from backends.text import visible
from orchestrator.events.events import Record
from widgets.transcript.view import Transcript


class TranscriptScreen(Screen[None]):
    """Follows the session while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,t,q", "app.pop_screen", "back", id="back", tooltip="Back to the main view"),
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
            self.notify(f"it cannot be written: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"written to {visible(str(path.absolute()))}", markup=False)
