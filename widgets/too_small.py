"""The message that the terminal is too small."""

from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

MIN_SIZE = Size(80, 24)


def fits(size: Size) -> bool:
    """Whether the terminal is large enough."""
    return size.width >= MIN_SIZE.width and size.height >= MIN_SIZE.height


class TooSmall(ModalScreen[None]):
    """Covers the screen until there is room again; a running rollout continues."""

    DEFAULT_CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall Static { width: auto; max-width: 100%; height: auto; text-align: center; }
    """

    def compose(self) -> ComposeResult:
        yield Static(self._words(self.app.size), markup=False)

    def on_resize(self, event: events.Resize) -> None:
        if fits(event.size):
            if self.is_current:  # a second event while it goes would close what lies below it
                self.dismiss(None)
        else:
            self.query_one(Static).update(self._words(event.size))

    @staticmethod
    def _words(size: Size) -> str:
        return (
            f"This terminal has {size.width} by {size.height};\n"
            f"Rolldeck needs {MIN_SIZE.width} by {MIN_SIZE.height}.\n"
            "A running rollout continues."
        )
