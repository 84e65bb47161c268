"""The themes: Rolldeck's own and all of Textual's, with colors that can be read wherever text is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from textual.color import BLACK, WHITE, Color
from textual.theme import BUILTIN_THEMES, Theme

from console.tui.view_state import ViewState

LEAST_CONTRAST = 4.5  # between text and what is behind it, as WCAG 2.1 has it for level AA
_AIM = 4.6  # the colors behind texts depend a little on those of texts
_STEPS = 40  # in which a color is moved towards black or white
_MUTED_SHARE = 0.6  # of the foreground in secondary text, where that can be read

HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#6fd3ff",
    secondary="#6fd3ff",
    accent="#ffff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#262626",
    success="#00ff66",
    warning="#ffd700",
    error="#ff6b6b",
    dark=True,
)

# Textual's own red is too dark for text, most of all on the row of the cursor.
DARK = replace(BUILTIN_THEMES["textual-dark"], name="dark", error="#c24d6b")

# Textual's own colors can hardly be read on a light background, nor can gray that is 60 % of its black.
LIGHT = replace(
    BUILTIN_THEMES["textual-light"],
    name="light",
    foreground="#000000",
    success="#105a26",
    warning="#7a4d00",
    accent="#7a4d00",
    error="#a8201a",
    variables={"footer-key-foreground": "#004578"},
)

THEMES: Mapping[str, Theme] = {
    theme.name: theme for theme in (DARK, LIGHT, HIGH_CONTRAST, *BUILTIN_THEMES.values())
}
"""All themes by the name that the configuration has for them, as they were designed."""

_PLAIN = ("background", "surface", "panel")
_SIGNALS = ("success", "warning", "accent")
_TEXTS = ("text-primary", "text-secondary", "text-success", "text-warning", "text-error", "text-accent")
Colors = Mapping[str, Color]
_NAMES = ("foreground", "primary", "error", "panel-lighten-1", *_PLAIN, *_SIGNALS, *_TEXTS)


def make_readable(theme: Theme) -> Theme:
    """Return a theme whose texts have `LEAST_CONTRAST` at least, with colors as near as possible to its own.

    A theme of the terminal's own colors is returned as it is: nobody knows what they look like.
    """
    if theme.ansi:
        return theme
    variables = {**theme.to_color_system().generate(), **theme.variables}
    colors = {name: Color.parse(variables[name]) for name in _NAMES}
    for _ in range(2):  # what is behind a text depends on the colors of texts
        colors["foreground"] = _move(colors["foreground"], list_backgrounds(colors))
        for name in _SIGNALS:
            colors[name] = _move(colors[name], list_signal_backgrounds(colors))
    behind = list_text_backgrounds(colors)
    texts = {name: _move(colors[name], behind).hex for name in _TEXTS}
    foreground = colors["foreground"].hex
    muted = _mute(colors["foreground"], colors["background"], behind).hex
    placeholder = _mute(colors["foreground"], colors["background"], list_backgrounds(colors)).hex
    return replace(
        theme,
        foreground=foreground,
        success=colors["success"].hex,
        warning=colors["warning"].hex,
        accent=colors["accent"].hex,
        variables={
            **theme.variables,
            **texts,
            "foreground-muted": muted,
            "text": foreground,
            "text-muted": muted,
            "text-disabled": placeholder,
            "footer-background": colors["panel"].hex,
            "footer-foreground": foreground,
            "footer-description-foreground": foreground,
            "footer-key-foreground": colors["accent"].hex,
            "block-cursor-background": colors["primary"].hex,
            "block-cursor-foreground": _best_on(colors["primary"]).hex,
        },
    )


@cache
def readable_theme(name: str) -> Theme:
    """Return the theme of this name as the console shows it; KeyError for an unknown name."""
    return make_readable(THEMES[name])


def remembered_theme(state: ViewState, configured: str) -> str:
    """Return the theme that was chosen last, unless the configuration has another one than it had then."""
    chosen_over = state.get("theme-configured", THEMES, "")
    return state.get("theme", THEMES, configured) if chosen_over == configured else configured


def remember_theme(state: ViewState, name: str, configured: str) -> None:
    """Remember the choice of a theme, and over which configured one it was made."""
    state.set("theme", name)
    state.set("theme-configured", configured)


def list_signal_backgrounds(colors: Colors) -> list[Color]:
    """Return what is behind green and yellow words and behind the letters of keys."""
    background = colors["background"]
    decision_panel = (background.blend(colors[name], 0.12) for name in ("warning", "error"))
    return [background, colors["panel"], *decision_panel]


def list_text_backgrounds(colors: Colors) -> list[Color]:
    """Return what is behind texts of other colors: also dialogs and the row of the cursor."""
    cursor = colors["background"].blend(colors["foreground"], 0.15)
    return [*list_signal_backgrounds(colors), colors["surface"], cursor]


def list_backgrounds(colors: Colors) -> list[Color]:
    """Return what is behind any text: also fields, those with a wrong value, and notifications."""
    surface = colors["surface"]
    fields = (surface.blend(colors["foreground"], 0.2), surface.blend(colors["error"], 0.25))
    return [*list_text_backgrounds(colors), *fields, colors["panel-lighten-1"]]


def measure_contrast(one: Color, other: Color) -> float:
    """Return the contrast of two opaque colors, 1 to 21, as WCAG 2.1 defines it."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: Color) -> float:
    parts = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in color.normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _move(color: Color, behind: Iterable[Color]) -> Color:
    """Return the color, moved as little as needed towards black or white to be read on all of these."""
    behind = list(behind)
    return next(
        (found for found in _shades(color, behind) if _worst(found, behind) >= _AIM),
        max((BLACK, WHITE), key=lambda extreme: _worst(extreme, behind)),
    )


def _shades(color: Color, behind: Sequence[Color]) -> Iterator[Color]:
    toward = max((BLACK, WHITE), key=lambda extreme: _worst(extreme, behind))
    for step in range(_STEPS + 1):
        yield color.blend(toward, step / _STEPS)


def _mute(foreground: Color, background: Color, behind: Sequence[Color]) -> Color:
    """Return the color of secondary text: between foreground and background, as far as it can be read."""
    for step in range(_STEPS + 1):
        found = background.blend(foreground, _MUTED_SHARE + (1 - _MUTED_SHARE) * step / _STEPS)
        if _worst(found, behind) >= _AIM:
            return found
    return foreground


def _worst(color: Color, behind: Iterable[Color]) -> float:
    return min(measure_contrast(color, background) for background in behind)


def _best_on(background: Color) -> Color:
    return max((BLACK, WHITE), key=lambda color: measure_contrast(color, background))
