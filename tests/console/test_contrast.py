"""What a color says can be read in every theme: at least 4.5:1, as WCAG has it for text."""

from typing import Any

import pytest
from rich.style import Style
from textual.color import Color
from textual.pilot import Pilot

from console.tui.app import THEMES
from tests.console.frozen_console import CALM, TROUBLED, FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway
from widgets.rollout_board import RolloutBoard
from widgets.segments import KINDS

LEAST = 4.5
MAX_TINT = 16  # between red, green and blue of a gray
DEFAULT_THEMES = [name for name in THEMES if not name.startswith("ansi")]


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


def colors_of(style: Style | None) -> tuple[Color, Color] | None:
    """The colors of a text and of what is behind it."""
    if style is None or style.color is None or style.bgcolor is None:
        return None
    foreground, background = style.color.triplet, style.bgcolor.triplet
    assert foreground is not None
    assert background is not None
    return Color(*foreground), Color(*background)


def find_unreadable(pilot: Pilot[Any]) -> list[tuple[str, float]]:
    """Colored words on the screen whose contrast is too low; gray ones are keys that do not work now."""
    found = []
    for strip in pilot.app.screen._compositor.render_strips():
        for piece in strip:
            colors = colors_of(piece.style)
            if colors is None or not any(map(str.isalnum, piece.text)):
                continue
            red, green, blue = colors[0].rgb
            is_gray = max(red, green, blue) - min(red, green, blue) <= MAX_TINT
            if not is_gray and contrast(*colors) < LEAST:
                found.append((piece.text.strip(), round(contrast(*colors), 2)))
    return found


@pytest.mark.parametrize("theme", DEFAULT_THEMES)
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


@pytest.mark.parametrize("theme", DEFAULT_THEMES)
async def test_every_colored_word_on_the_main_screens_can_be_read(theme: str) -> None:
    """The table with the cursor on a server that is down, its page, and the log."""
    app = FrozenConsole(TROUBLED)
    async with app.run_test(size=(120, 40)) as pilot:
        app.theme = THEMES[theme]
        await pilot.pause()
        assert find_unreadable(pilot) == []
        await pilot.press("enter")
        await pilot.pause()
        assert find_unreadable(pilot) == []


@pytest.fixture
def failed_rollout() -> FrozenConsole:
    story = FrozenRollout(halfway("maint")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.failed("web3", "drain", FAILURE).console()


@pytest.mark.parametrize("theme", DEFAULT_THEMES)
async def test_every_colored_word_of_a_failed_rollout_can_be_read(
    failed_rollout: FrozenConsole, theme: str
) -> None:
    async with failed_rollout.run_test(size=(120, 40)) as pilot:
        failed_rollout.theme = THEMES[theme]
        await pilot.pause()
        assert find_unreadable(pilot) == []
        await pilot.press("l")
        await pilot.pause()
        assert find_unreadable(pilot) == []
