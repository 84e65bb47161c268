"""The keys of a console with several applications that work on every screen."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.dom import DOMNode


class RolloutKeys(DOMNode):
    """Has the keys; see `console.tui.fleet_console` for what they do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f2",
            "next_rollout",
            "rollout",
            id="next-rollout",
            tooltip="Go to the next rollout, first those that wait for an answer",
            show=False,
        )
    ]
