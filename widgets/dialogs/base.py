"""The style and keys that dialogs and reports share: text that scrolls, and answers that stay visible."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Generic, Self, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Footer, Static

from backends.text import counted, visible
from widgets.dialogs.elements import Entries, Entry, InlineButton, RadioList, strip_colors, to_content
from widgets.dialogs.overlay import Overlay
from widgets.dialogs.scrolling import Headline, ScrolledText, ScrollKeys

Answer = TypeVar("Answer")
IsOver = Callable[[], str]
WITHDRAWAL_INTERVAL_S = 0.3  # between two looks whether there is still something to ask
MIN_TEXT_LINES = 2  # of a dialog's text that stay in sight where its fields need the room


class Dialog(ModalScreen[Answer], Overlay[Answer], Generic[Answer]):
    """A box with text that scrolls when there is much of it, and answers that are always in sight.

    Subclasses give `entries`, `fields` and `buttons`, and react to `InlineButton.Pressed`.
    """

    AUTO_FOCUS = ""  # `compose` decides: the safe answer
    _is_over: IsOver = staticmethod(lambda: "")
    HELP = """
# Question
The answer that has the focus is the safe one. Left, right and tab go to another one; Enter or Space gives it,
and so does a click. Escape closes the question, and nothing is done.
"""
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > #box {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        padding: 0 1; background: $surface;
        border: round $primary; border-title-color: $foreground; border-title-style: bold;
        border-subtitle-color: $foreground;
    }
    Dialog.-danger > #box { border: round $error; }
    Dialog.-danger:nocolor > #box { border: round $foreground; }
    Dialog ScrolledText { height: auto; }
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
        Binding("pageup", "page(-1)", "up", id="dialog.up", tooltip="Scroll the text up", show=False),
        Binding("pagedown", "page(1)", "down", id="dialog.down", tooltip="Scroll the text down", show=False),
        Binding("up,k", "scroll(-1)", "line up", id="dialog.line-up", tooltip="A line up", show=False),
        Binding("down,j", "scroll(1)", "line down", id="dialog.line-down", tooltip="A line down", show=False),
        Binding("home", "end(-1)", "top", id="dialog.top", tooltip="To the beginning", show=False),
        Binding("end,G", "end(1)", "bottom", id="dialog.bottom", tooltip="To the end", show=False),
        Binding(
            "question_mark,f1",
            "app.help",
            "help",
            id="help",
            tooltip="All keys that work here",
            show=False,
        ),
    ]

    def compose(self) -> ComposeResult:
        box = Vertical(id="box")
        box.border_title = Content(visible(self.title or ""))
        with box:
            with ScrolledText(id="text"):
                yield Entries(self.entries())
            with ScrolledText(id="fields"):
                yield from self.fields()
            with Horizontal(id="answers"):
                yield from self.buttons()

    def withdraw_when(self, is_over: IsOver) -> Self:
        """Close the dialog as Escape does, and tell why, once what it asks about is over.

        Args:
            is_over: returns why there is nothing to ask any more; empty while there is.
        """
        self._is_over = is_over
        return self

    def _withdraw(self) -> None:
        why = self._is_over()
        if why and not self.is_answered:
            self.app.notify(why, severity="warning", markup=False, timeout=8)
            self.action_cancel()

    def entries(self) -> Sequence[Entry]:
        """Return the text of the dialog."""
        return ()

    def fields(self) -> Iterable[Widget]:
        """Return the fields to fill in, below the text."""
        return ()

    def buttons(self) -> Iterable[Widget]:
        """Return the buttons, of which the first one is the safe answer, and what is beside them."""
        return ()

    def on_mount(self) -> None:
        self.initial_focus().focus()
        self.set_interval(WITHDRAWAL_INTERVAL_S, self._withdraw)
        for part in self.query(ScrolledText):
            self.watch(part, "place", self._show_place)
            self.watch(part, "virtual_size", self._fit_later, init=False)
        self._fit_later()

    def on_resize(self) -> None:
        self._fit_later()

    def _fit_later(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Give the text the remaining height, so that the buttons are always in sight."""
        if not self.query("#answers"):
            return  # a resize that comes before the dialog has its widgets, or after it was closed
        box, text, fields = self.query_one("#box"), self.query_one("#text"), self.query_one("#fields")
        answers = self.query_one("#answers")
        room = self.size.height - box.gutter.height
        if answers.display:
            room -= answers.outer_size.height + answers.styles.margin.height
        text_lines = text.virtual_size.height if text.display else 0
        field_lines = min(fields.virtual_size.height, max(1, room - min(text_lines, MIN_TEXT_LINES)))
        fields.styles.max_height = max(1, field_lines)
        text.styles.max_height = max(MIN_TEXT_LINES, room - field_lines)

    def _show_place(self) -> None:
        """Tell in the frame that there is more to read, and the key for it."""
        places = [part.place for part in self.query(ScrolledText) if part.display and part.place]
        self.query_one("#box").border_subtitle = Content(f"{places[0]}: PgUp PgDn" if places else "")

    def initial_focus(self) -> Widget:
        """Return the widget that has the focus at first: the safe answer."""
        return self.query(InlineButton).first()

    @on(RadioList.Confirmed)
    def _option_confirmed(self) -> None:
        """Give the last answer, which goes on."""
        self.query(InlineButton).last().action_press()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self._scrolled.scroll_lines(by)

    def action_page(self, by: int) -> None:
        self._scrolled.scroll_pages(by)

    def action_end(self, which: int) -> None:
        self._scrolled.scroll_to_edge(which)

    @property
    def _scrolled(self) -> ScrolledText:
        """The part that has more than is in sight; the text, where both have."""
        parts = [part for part in self.query(ScrolledText) if part.display]
        parts = parts or [self.query_one("#text", ScrolledText)]
        return next((part for part in parts if part.place), parts[0])


def make_heading(words: str, style: str = "") -> Entry:
    """Return the title of a section, with an empty line above."""
    return Entry(Content(""), Content("\n") + to_content(words, f"bold {style}".strip()))


class Report(Overlay[Answer], ScrollKeys, Generic[Answer]):
    """A headline, text that scrolls with the arrow keys, and answers; the first one has the focus."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    Report > #text { height: 1fr; padding: 0 1; }
    Report > #answers { height: 1; padding: 0 1; }
    Report > #answers > #status { width: 1fr; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="report.back", tooltip="Back; nothing is started"),
        Binding("y", "copy", "copy", id="report.copy", tooltip="Copy the commands to the clipboard"),
        Binding(
            "left", "app.focus_previous", "previous", id="report.previous", tooltip="Previous", show=False
        ),
        Binding("right", "app.focus_next", "next", id="report.next", tooltip="Next answer", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Headline(self._shown(self.headline()))
        with ScrolledText(id="text"):
            yield Entries(self.entries(), id="lines")
        yield from self.fields()
        with Horizontal(id="answers"):
            yield Static(self._shown(self.status()), id="status")
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

    def fields(self) -> Iterable[Widget]:
        """Return the fields to fill in, below the text."""
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
        self.show_places()

    def action_copy(self) -> None:
        commands = self.commands()
        if commands:
            self.app.copy_to_clipboard("\n".join(to_content(command).plain for command in commands) + "\n")
        self.notify(
            f"{counted(len(commands), 'command')} copied" if commands else "there is no command to copy",
            timeout=3,
        )
