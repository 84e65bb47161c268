"""Starts what goes on beside the keys of a screen."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from textual.dom import DOMNode

if TYPE_CHECKING:
    from textual.worker import WorkType


def start_worker(
    owner: DOMNode,
    work: Callable[[], Coroutine[Any, Any, object]],
    *,
    group: str,
    exclusive: bool = False,
    exit_on_error: bool = True,
) -> None:
    """Start a worker that ends with its owner.

    Textual also takes a coroutine, but one whose worker is cancelled before it begins is never awaited, and
    Python warns of that in the middle of the screen.

    Args:
        owner: a screen, or the app.
        work: is called once the worker begins.
        group: of the worker.
        exclusive: cancel the other workers of the group.
        exit_on_error: end the console if it raises.
    """
    owner.run_worker(
        cast("WorkType[object]", work), group=group, exclusive=exclusive, exit_on_error=exit_on_error
    )
