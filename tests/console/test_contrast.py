"""What a color says can be read in every theme: at least 4.5:1, as WCAG has it for text."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from rich.style import Style
from textual.color import Color
from textual.geometry import Offset
from textual.pilot import Pilot

from console.config.config_file import ConsoleSettings, ThemeName
from console.tui.themes import (
    THEMES,
    list_backgrounds,
    list_signal_backgrounds,
    list_text_backgrounds,
    make_readable,
    remember_theme,
    remembered_theme,
)
from console.tui.view_state import ViewState
from tests.console.frozen_console import CALM, TROUBLED, FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway
from tests.console.test_overlays import DIALOGS
from widgets.footer import KeyBar
from widgets.rollout_board import RolloutBoard
from widgets.segments import KINDS

LEAST = 4.5
COLOR = re.compile("#[0-9a-fA-F]{6}")
ALL = [name for name, theme in THEMES.items() if not theme.ansi]
SOME = ("dark", "solarized-light")
themes = pytest.mark.parametrize(
    "names",
    [
        pytest.param(SOME, id="some"),
        pytest.param([name for name in ALL if name not in SOME], id="others", marks=pytest.mark.long),
    ],
)


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
    """Words on the screen in front whose contrast is too low, without keys that do not work now."""
    screen = pilot.app.screen
    boxes = [screen.region, *(widget.region for widget in screen.query("#box, #--input, CommandList"))]
    off = [bar.get_component_rich_style("key-bar--off").color for bar in screen.query(KeyBar)]
    found = []
    for y, strip in enumerate(screen._compositor.render_strips()):
        x = 0
        for piece in strip:
            at, x = Offset(x, y), x + piece.cell_length
            colors = colors_of(piece.style)
            if colors is None or not any(map(str.isalnum, piece.text)):
                continue
            if screen.is_modal and not any(box.contains_point(at) for box in boxes[1:]):
                continue  # dimmed, behind the dialog
            if contrast(*colors) < LEAST and piece.style is not None and piece.style.color not in off:
                found.append((piece.text.strip(), round(contrast(*colors), 2)))
    return found


async def assert_readable(pilot: Pilot[Any], names: Iterable[str]) -> None:
    """What the screen in front has can be read in each of these themes."""
    for name in names:
        pilot.app.theme = name
        await pilot.pause()
        assert find_unreadable(pilot) == [], name


@themes
async def test_the_main_screens_can_be_read(names: Sequence[str]) -> None:
    """The table with the cursor on a server that is down, its page, the log, the help, and the palette."""
    app = FrozenConsole(TROUBLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await assert_readable(pilot, names)
        for keys in (("enter",), ("escape", "t"), ("escape", "question_mark"), ("escape", "ctrl+p")):
            await pilot.press(*keys)
            await pilot.pause()
            await assert_readable(pilot, names)


@themes
@pytest.mark.parametrize("name", ["change", "upgrade", "plan", "result", "confirm", "picker"])
async def test_dialogs_can_be_read(name: str, names: Sequence[str]) -> None:
    app = FrozenConsole(TROUBLED)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await app.push_screen(DIALOGS[name]())
        await pilot.pause()
        await assert_readable(pilot, names)


@pytest.fixture
def failed_rollout() -> FrozenConsole:
    story = FrozenRollout(halfway("maint")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.failed("web3", "drain", FAILURE).console()


@themes
async def test_a_failed_rollout_can_be_read(failed_rollout: FrozenConsole, names: Sequence[str]) -> None:
    async with failed_rollout.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for name in names:
            failed_rollout.theme = name
            await pilot.pause()
            assert find_unreadable(pilot) == [], name
            board = failed_rollout.screen.query_one(RolloutBoard)
            for kind in KINDS:
                color = board.get_component_rich_style(f"board--{kind}").color
                assert color is not None
                assert color.triplet is not None
                assert contrast(Color(*color.triplet), board.background_colors[1]) >= LEAST, (name, kind)


@pytest.mark.parametrize("name", ALL)
def test_each_color_of_text_can_be_read_on_what_is_behind_it(name: str) -> None:
    """Header and key bar are panels, the table and the board have the background, dialogs the surface."""
    theme = make_readable(THEMES[name])
    values = {**theme.to_color_system().generate(), **theme.variables}
    colors = {name: Color.parse(value) for name, value in values.items() if COLOR.fullmatch(value)}
    every, texts, signals = (
        listed(colors) for listed in (list_backgrounds, list_text_backgrounds, list_signal_backgrounds)
    )
    behind = {"foreground": every, "text-disabled": every, "foreground-muted": texts, "text-muted": texts}
    behind |= {f"text-{kind}": texts for kind in ("primary", "success", "warning", "error", "accent")}
    behind |= {kind: signals for kind in ("success", "warning", "accent", "footer-key-foreground")}
    behind["block-cursor-foreground"] = [colors["block-cursor-background"]]
    for color, backgrounds in behind.items():
        assert min(contrast(colors[color], background) for background in backgrounds) >= LEAST, color


def test_every_theme_can_be_configured_and_is_registered() -> None:
    assert sorted(get_args(ThemeName)) == sorted(THEMES)
    for name in THEMES:
        console = FrozenConsole(CALM, settings=ConsoleSettings(theme=cast("ThemeName", name)))
        assert console.current_theme == make_readable(THEMES[name])


def test_colors_that_can_be_read_stay_as_they_are() -> None:
    dark = make_readable(THEMES["dark"])
    assert Color.parse(dark.success or "") == Color.parse(THEMES["dark"].success or "")
    assert dark.error == THEMES["dark"].error
    assert make_readable(THEMES["ansi-dark"]) is THEMES["ansi-dark"]


def test_the_choice_of_a_theme_is_remembered_until_the_configuration_has_another(tmp_path: Path) -> None:
    file = tmp_path / "state" / "console.json"
    assert remembered_theme(ViewState(file), "dark") == "dark"
    remember_theme(ViewState(file), "nord", "dark")
    assert remembered_theme(ViewState(file), "dark") == "nord"
    assert remembered_theme(ViewState(file), "light") == "light"
    file.write_text('{"theme": "no such theme", "theme-configured": "dark"}')
    assert remembered_theme(ViewState(file), "dark") == "dark"
    file.write_text("no JSON")
    assert remembered_theme(ViewState(file), "dark") == "dark"
