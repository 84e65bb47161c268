"""The screen with the charts of a rollout: both versions over its whole time."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer

from orchestrator.events.state import RolloutState
from widgets.dialogs.overlay import Overlay
from widgets.rollout_chart import RolloutChart

POLL_INTERVAL_S = 0.5  # how often the screen reads the state; verdicts come each ten seconds


class ChartScreen(Overlay[None]):
    """Error rate and response time of the new and the old version, while it is open.

    Args:
        read: returns the state of the rollout that the main view shows.
    """

    HELP = """
# Both versions over the rollout
The upper plot of each pair is the new version, the lower one all other nodes at the same time. Both have the
same scale, whose top is `max`; on the right is the last value. An empty column is one without requests or
without a known value: that is no zero, which has the lowest bar.
"""
    DEFAULT_CSS = """
    ChartScreen { layout: vertical; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,c,q", "leave", "back", id="back", tooltip="Back to the main view"),
    ]

    def __init__(self, read: Callable[[], RolloutState]) -> None:
        super().__init__()
        self._read = read

    def compose(self) -> ComposeResult:
        yield RolloutChart()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._poll()
        self.set_interval(POLL_INTERVAL_S, self._poll)

    def _poll(self) -> None:
        self.query_one(RolloutChart).show(self._read())
