"""Themes by the names that the configuration knows."""

from collections.abc import Mapping

from textual.theme import Theme

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

THEMES: Mapping[str, str] = {
    "dark": "textual-dark",
    "light": "textual-light",
    "ansi-dark": "ansi-dark",
    "ansi-light": "ansi-light",
    "high-contrast": HIGH_CONTRAST.name,
}
"""Textual's name of each theme."""
