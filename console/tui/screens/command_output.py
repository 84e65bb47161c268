"""The output of a command of the operator's own, as it arrives."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from backends.text import visible
from console.tui.workers import start_worker
from widgets.detail.log_view import LogView
from widgets.dialogs.overlay import Overlay
from widgets.footer import KeyBar


class CommandOutput(Overlay[None]):
    """A pane with the output of a command; closing it ends the command.

    Args:
        title: of the command.
        run: runs it and fills the pane; it is cancelled when the pane is closed.
    """

    HELP = """
# Output of a command
`!` marks the command and how it ended. Closing this ends a command that still runs; the journal has the end
of its output and its exit status.
"""
    DEFAULT_CSS = """
    CommandOutput { layout: vertical; }
    CommandOutput > Static { height: 1; background: $panel; padding: 0 1; text-style: bold; }
    CommandOutput > LogView { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "close", id="back", tooltip="Close; ends a command that still runs"),
        Binding("y", "copy", "copy", id="copy", tooltip="Copy the output to the clipboard"),
    ]

    def __init__(self, title: str, run: Callable[["CommandOutput"], Awaitable[None]]) -> None:
        super().__init__()
        self._title = visible(title)
        self._run = run

    def compose(self) -> ComposeResult:
        yield Static(Text(self._title, no_wrap=True, overflow="ellipsis"))
        yield LogView()
        yield KeyBar(("back", "search", "copy", "follow", "search-next"))

    def on_mount(self) -> None:
        log = self.query_one(LogView)
        log.show_source("runs")
        log.focus()
        start_worker(self, self._work, group="own-command")

    async def _work(self) -> None:
        await self._run(self)
        self.query_one(LogView).show_source("has ended")

    def begin(self, node: str, line: str) -> None:
        """Show which command begins."""
        self.query_one(LogView).add_note(f"{node}: {line}")

    def add(self, lines: Sequence[str]) -> None:
        """Add output, which is safe to print."""
        self.query_one(LogView).add(lines)

    def end(self, words: str) -> None:
        """Show how the command has ended."""
        self.query_one(LogView).add_note(words)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.query_one(LogView).lines_as_text())
        self.notify("copied", timeout=2)
