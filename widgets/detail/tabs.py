"""The tabs of the page of a node."""

from typing import ClassVar, Literal, get_args

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

Tab = Literal["state", "sessions", "checks", "log", "journal"]
TABS: tuple[Tab, ...] = get_args(Tab)
_GAP = 2


class TabBar(Widget):
    """A line with the names of the tabs, each with the digit that opens it; a click opens it, too."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tabs--other", "tabs--digit", "tabs--here"}
    DEFAULT_CSS = """
    TabBar { height: 1; padding: 0 1; }
    TabBar > .tabs--other { color: $foreground-muted; }
    TabBar > .tabs--digit { color: $foreground; text-style: bold; }
    TabBar > .tabs--here { text-style: bold reverse; }
    """

    class Chosen(Message):
        """Message that a tab was clicked."""

        def __init__(self, tab: Tab) -> None:
            super().__init__()
            self.tab: Tab = tab

    def __init__(self) -> None:
        super().__init__()
        self._tab: Tab = TABS[0]

    def show(self, tab: Tab) -> None:
        """Show which tab is open."""
        self._tab = tab
        self.refresh()

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, tab in enumerate(TABS, 1):
            if tab == self._tab:
                text.append(f" {number} {tab} ", self.get_component_rich_style("tabs--here"))
            else:
                text.append(f" {number}", self.get_component_rich_style("tabs--digit"))
                text.append(f" {tab} ", self.get_component_rich_style("tabs--other"))
            text.append(" " * _GAP)
        return text

    def on_click(self, event: events.Click) -> None:
        at = event.x - 1  # the padding
        for number, tab in enumerate(TABS, 1):
            width = len(f" {number} {tab} ") + _GAP
            if 0 <= at < width:
                self.post_message(self.Chosen(tab))
            at -= width
