"""Headless consoles that paint no updates: Textual paints each one, and then has no terminal for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import RenderableType
from textual._compositor import Compositor
from textual.screen import Screen


@contextmanager
def unpainted() -> Iterator[None]:
    """Paint only what is asked for, such as the text of a screen: that is always painted anew."""
    paint = Compositor.render_update

    def render_update(
        self: Compositor,
        full: bool = False,
        screen_stack: list[Screen[Any]] | None = None,
        simplify: bool = False,
    ) -> RenderableType | None:
        if full or screen_stack:  # what shows through a dialog is known while it is painted only
            return paint(self, full, screen_stack, simplify)
        self._dirty_regions.clear()
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compositor, "render_update", render_update)
        yield
