"""What a color says can be read in every theme: at least 3:1, as WCAG has it for bold text."""

import pytest
from textual.color import Color

from console.tui.app import THEMES
from tests.console.frozen_console import CALM, FrozenConsole
from widgets.rollout_board import RolloutBoard
from widgets.segments import KINDS

LEAST = 3.0


def luminance(color: Color) -> float:
    """As WCAG 2 defines it."""
    parts = [value / 255 for value in (color.r, color.g, color.b)]
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [name for name in THEMES if not name.startswith("ansi")])
async def test_every_kind_of_text_on_the_board_can_be_read(theme: str) -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        app.theme = THEMES[theme]
        await pilot.pause()
        board = app.screen.query_one(RolloutBoard)
        _, background = board.background_colors
        for kind in KINDS:
            color = board.get_component_rich_style(f"board--{kind}").color
            assert color is not None
            assert color.triplet is not None
            assert contrast(Color(*color.triplet), background) >= LEAST, kind
