"""Errors of what still runs for a screen that was closed meanwhile: a timer, a worker, a late resize."""

from typing import Any

from textual import events
from textual._context import active_message_pump
from textual.app import App, ScreenStackError
from textual.css.query import NoMatches
from textual.dom import DOMNode, NoScreen
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.worker import NoActiveWorker, WorkerFailed, get_current_worker


def is_late(app: App[Any], error: Exception, is_exiting: bool) -> bool:
    """Return whether an error only says that a closed screen has lost its widgets.

    Textual removes the widgets of a screen while its timers, workers and messages are still handled, and ends
    the application when one of these looks for a widget.

    Args:
        app: has the screens that are open.
        error: what a handler or a worker has raised.
        is_exiting: whether the application ends, so that all screens are being closed.
    """
    cause = error.error if isinstance(error, WorkerFailed) else error
    if isinstance(cause, ScreenStackError) and (is_exiting or not app.screen_stack):
        return True  # a key or click that arrived after the last screen was closed
    if not isinstance(cause, NoMatches):
        return False
    return is_exiting or _screen_of(_origin()) not in app.screen_stack


def is_open(node: DOMNode) -> bool:
    """Return whether the screen of a node has all its widgets: it is mounted, and is not being closed."""
    screen = _screen_of(node)
    return screen is not None and screen.is_mounted and screen in screen.app.screen_stack


def is_on_removed(screen: Screen[Any], event: events.MouseDown) -> bool:
    """Return whether a click is on a widget that was removed, and of which the screen still has the place.

    Textual looks for the widget around it, to select text there, and fails.
    """
    widget, _ = screen.get_widget_and_offset_at(int(event.x), int(event.y))
    return widget is not None and widget is not screen and widget.parent is None


def _origin() -> object:
    """Return the node whose handler or worker is running."""
    try:
        return get_current_worker().node
    except NoActiveWorker:
        return active_message_pump.get(None)


def _screen_of(node: object) -> Screen[Any] | None:
    if isinstance(node, Screen):
        return node
    try:
        return node.screen if isinstance(node, DOMNode | MessagePump) and hasattr(node, "screen") else None
    except (NoScreen, ScreenStackError):
        return None
