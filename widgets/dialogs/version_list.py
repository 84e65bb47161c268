"""The versions to choose from in the dialog for an upgrade, with what is known of each."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from backends.text import visible
from orchestrator.session.version_choices import VersionChoice
from widgets.dialogs.elements import QUIET_STYLE, pad_cell, to_content

MAX_ROWS = 4  # versions in sight, so that the whole dialog fits into 24 lines
MAX_VERSION_CELLS = 24


class VersionInput(Input):
    """The field for the version; up, down and the page keys ask for versions above and below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"move({rows})", words, id=f"upgrade.{words}", tooltip=tooltip, show=False)
        for key, rows, words, tooltip in (
            ("up", -1, "previous", "The version above"),
            ("down", 1, "next", "The version below"),
            ("pageup", -MAX_ROWS, "page-up", "A page of versions up"),
            ("pagedown", MAX_ROWS, "page-down", "A page of versions down"),
        )
    ]

    class Moved(Message):
        """Another version is to be picked, so many rows below."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def action_move(self, by: int) -> None:
        self.post_message(self.Moved(by))


class VersionList(Widget):
    """A window on the versions around the one that is picked; it never has the focus."""

    DEFAULT_CSS = """
    VersionList { width: 1fr; height: auto; display: none; }
    VersionList.-shown { display: block; }
    """

    class Picked(Message):
        """A version was picked with the mouse."""

        def __init__(self, version: str) -> None:
            super().__init__()
            self.version = version

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._choices: Sequence[VersionChoice] = ()
        self._picked = ""
        self._top = 0

    def show(self, choices: Sequence[VersionChoice], picked: str) -> None:
        """Show these versions, with a mark on the one that is picked, if it is among them."""
        self._choices = choices
        self.mark(picked)
        self.set_class(bool(choices), "-shown")
        self.refresh(layout=True)

    def mark(self, version: str) -> None:
        """Mark a version, and scroll it into view."""
        self._picked = version
        if (index := self._index()) is not None:
            self._top = max(index - MAX_ROWS + 1, min(self._top, index))
        self._top = max(0, min(self._top, len(self._choices) - MAX_ROWS))
        self.refresh()

    def neighbor(self, by: int) -> str:
        """Return the version that many rows below the picked one, or above it; empty where there is none."""
        if not self._choices:
            return ""
        index = self._index()
        following = (0 if by > 0 else len(self._choices) - 1) if index is None else index + by
        return self._choices[max(0, min(following, len(self._choices) - 1))].version

    def _index(self) -> int | None:
        return next(
            (number for number, choice in enumerate(self._choices) if choice.version == self._picked), None
        )

    def render(self) -> Content:
        rows = self._choices[self._top : self._top + MAX_ROWS]
        width = min(
            MAX_VERSION_CELLS, max((cell_len(visible(row.version)) for row in self._choices), default=0)
        )
        return Content("\n").join(self._row(choice, width) for choice in rows)

    def _row(self, choice: VersionChoice, width: int) -> Content:
        is_picked = choice.version == self._picked
        row = Content.assemble(
            ("▸" if is_picked else " ", "bold"),
            ("✗ " if choice.failed else "  ", "$text-error"),  # no other signs: the words say what is known
            pad_cell(choice.version, width, "bold" if is_picked else ""),
            "  ",
            to_content(" · ".join(choice.remarks), "$text-error" if choice.failed else QUIET_STYLE),
        )
        return row.truncate(max(1, self.size.width), ellipsis=True)

    def on_click(self, event: events.Click) -> None:
        row = self._top + event.y
        if 0 <= event.y < MAX_ROWS and row < len(self._choices):
            self.post_message(self.Picked(self._choices[row].version))
