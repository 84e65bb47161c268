"""The look and the keys that all dialogs share: one rounded box, no box inside, escape is no."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from backends.text import visible
from widgets.dialogs.button import InlineButton
from widgets.dialogs.hanging_text import Entries, Entry

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A box with text that scrolls when there is much of it, and answers that are always in sight.

    Subclasses give `lines`, `fields` and `choices`, and react to `InlineButton.Pressed`.
    """

    AUTO_FOCUS = ""  # `compose` decides: the safe answer
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > #box {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        padding: 0 1; background: $surface;
        border: round $primary; border-title-color: $foreground; border-title-style: bold;
    }
    Dialog.-danger > #box { border: round $error; }
    Dialog.-danger:nocolor > #box { border: round $foreground; }
    Dialog #text { height: auto; scrollbar-size-vertical: 1; }
    Dialog #answers { height: 1; margin-top: 1; align-horizontal: right; }
    Dialog Input {
        border: none; height: 1; padding: 0 1; background: $foreground 10%;
    }
    Dialog Input:focus { background: $foreground 20%; border: none; }
    Dialog Input.-invalid, Dialog Input.-invalid:focus { border: none; background: $error 25%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "no", id="dialog.cancel", tooltip="Close it; nothing is done"),
        Binding(
            "left",
            "app.focus_previous",
            "previous",
            id="dialog.previous",
            tooltip="Previous answer",
            show=False,
        ),
        Binding("right", "app.focus_next", "next", id="dialog.next", tooltip="Next answer", show=False),
        Binding("pageup", "scroll_text(-1)", "up", id="dialog.up", tooltip="Scroll the text up", show=False),
        Binding(
            "pagedown", "scroll_text(1)", "down", id="dialog.down", tooltip="Scroll the text down", show=False
        ),
    ]

    def compose(self) -> ComposeResult:
        box = Vertical(id="box")
        box.border_title = Content(visible(self.title or ""))
        with box:
            # It never takes the focus: that would be one more stop before an answer.
            with VerticalScroll(id="text", can_focus=False):
                yield Entries(self.lines())
            yield from self.fields()
            with Horizontal(id="answers"):
                yield from self.choices()

    def lines(self) -> Sequence[Entry]:
        """What the dialog says."""
        return ()

    def fields(self) -> Iterable[Widget]:
        """What is filled in, below the text."""
        return ()

    def choices(self) -> Iterable[InlineButton]:
        """The answers; the first one is the safe one."""
        return ()

    def on_mount(self) -> None:
        self.first().focus()
        self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Give the text what the rest leaves over: the answers are never pushed out of sight."""
        box, text = self.query_one("#box"), self.query_one("#text")
        rest = sum(
            child.outer_size.height + child.styles.margin.height
            for child in box.children
            if child is not text and child.display
        )
        text.styles.max_height = max(2, self.size.height - box.gutter.height - rest)

    def first(self) -> Widget:
        """What has the focus at first: the safe answer."""
        return self.query(InlineButton).first()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_scroll_text(self, by: int) -> None:
        box = self.query_one("#text", VerticalScroll)
        box.scroll_relative(y=by * max(1, box.size.height - 1), animate=False)
