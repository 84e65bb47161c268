"""The style and keys that dialogs and reports share: text that scrolls, and answers that stay visible."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Footer, Static

from backends.text import counted, visible
from widgets.dialogs.elements import Entries, Entry, InlineButton, RadioList, strip_colors, to_content
from widgets.dialogs.overlay import Overlay

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer], Overlay[Answer], Generic[Answer]):
    """A box with text that scrolls when there is much of it, and answers that are always in sight.

    Subclasses give `entries`, `fields` and `buttons`, and react to `InlineButton.Pressed`.
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
                yield Entries(self.entries())
            yield from self.fields()
            with Horizontal(id="answers"):
                yield from self.buttons()

    def entries(self) -> Sequence[Entry]:
        """Return the text of the dialog."""
        return ()

    def fields(self) -> Iterable[Widget]:
        """Return the fields to fill in, below the text."""
        return ()

    def buttons(self) -> Iterable[InlineButton]:
        """Return the buttons; the first one is the safe answer."""
        return ()

    def on_mount(self) -> None:
        self.initial_focus().focus()
        self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Give the text the remaining height, so that the buttons are always in sight."""
        box, text = self.query_one("#box"), self.query_one("#text")
        rest = sum(
            child.outer_size.height + child.styles.margin.height
            for child in box.children
            if child is not text and child.display
        )
        text.styles.max_height = max(2, self.size.height - box.gutter.height - rest)

    def initial_focus(self) -> Widget:
        """Return the widget that has the focus at first: the safe answer."""
        return self.query(InlineButton).first()

    @on(RadioList.Confirmed)
    def _option_confirmed(self) -> None:
        """Give the last answer, which goes on."""
        self.query(InlineButton).last().action_press()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_scroll_text(self, by: int) -> None:
        box = self.query_one("#text", VerticalScroll)
        box.scroll_relative(y=by * max(1, box.size.height - 1), animate=False)


def make_heading(words: str, style: str = "") -> Entry:
    """Return the title of a section, with an empty line above."""
    return Entry(Content(""), Content("\n") + to_content(words, f"bold {style}".strip()))


class Report(Overlay[Answer], Generic[Answer]):
    """A headline, text that scrolls with the arrow keys, and answers; the first one has the focus."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    Report > #headline { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    Report > #text { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    Report > #answers { height: 1; padding: 0 1; }
    Report > #answers > #reason { width: 1fr; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="report.back", tooltip="Back; nothing is started"),
        Binding("y", "copy", "copy", id="report.copy", tooltip="Copy the commands to the clipboard"),
        Binding("up,k", "scroll_text(-1)", "up", id="report.up", tooltip="Scroll up", show=False),
        Binding("down,j", "scroll_text(1)", "down", id="report.down", tooltip="Scroll down", show=False),
        Binding("pageup", "page(-1)", "page up", id="report.pageup", tooltip="A page up", show=False),
        Binding("pagedown", "page(1)", "page down", id="report.pagedown", tooltip="A page down", show=False),
        Binding("home", "end(-1)", "top", id="report.home", tooltip="To the beginning", show=False),
        Binding("end", "end(1)", "bottom", id="report.end", tooltip="To the end", show=False),
        Binding(
            "left", "app.focus_previous", "previous", id="report.previous", tooltip="Previous", show=False
        ),
        Binding("right", "app.focus_next", "next", id="report.next", tooltip="Next answer", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Static(self._shown(self.headline()), id="headline")
        with VerticalScroll(id="text", can_focus=False):
            yield Entries(self.entries(), id="lines")
        with Horizontal(id="answers"):
            yield Static(self._shown(self.status()), id="reason")
            yield from self.buttons()
        yield Footer(show_command_palette=False)

    def _shown(self, content: Content) -> Content:
        return strip_colors(content) if self.app.no_color else content

    def headline(self) -> Content:
        """Return the headline."""
        return Content("")

    def entries(self) -> Sequence[Entry]:
        """Return the text of the report."""
        return ()

    def status(self) -> Content:
        """Return the text beside the buttons, such as why one of them is disabled."""
        return Content("")

    def buttons(self) -> Iterable[InlineButton]:
        """Return the buttons; the first one is the safe answer."""
        return ()

    def commands(self) -> Sequence[str]:
        """Return the commands that can be copied, one on a line."""
        return ()

    def on_mount(self) -> None:
        self.query(InlineButton).first().focus()

    def action_copy(self) -> None:
        commands = self.commands()
        if commands:
            self.app.copy_to_clipboard("\n".join(to_content(command).plain for command in commands) + "\n")
        self.notify(
            f"{counted(len(commands), 'command')} copied" if commands else "there is no command to copy",
            timeout=3,
        )

    def action_scroll_text(self, by: int) -> None:
        self._text.scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        self._text.scroll_relative(y=by * max(1, self._text.size.height - 1), animate=False)

    def action_end(self, which: int) -> None:
        self._text.scroll_to(y=0 if which < 0 else self._text.max_scroll_y, animate=False)

    @property
    def _text(self) -> VerticalScroll:
        return self.query_one("#text", VerticalScroll)
