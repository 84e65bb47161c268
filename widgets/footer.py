"""The footer, which shows the keys that work now, in two lines where there is room for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.widget import Widget

from backends.text import visible
from widgets.typed_line import TypedLine, drop_typed_keys

if TYPE_CHECKING:
    from textual.screen import Screen


TWO_LINES_FROM = 30  # lines of the screen; a lower one has better use for the second line
_GAP = 2


@dataclass(frozen=True, slots=True)
class FooterKey:
    """A key as the footer shows it."""

    id: str
    key: str  # as Textual calls it
    display: str
    label: str
    enabled: bool
    tooltip: str

    @property
    def width(self) -> int:
        return cell_len(self.display) + 1 + cell_len(self.label)


def _usual_index(usual: Sequence[str | None], name: str) -> int:
    return usual.index(name) if name in usual else len(usual)


def _wrap(keys: Sequence[FooterKey], width: int) -> list[list[FooterKey]]:
    """Return the keys in lines of at most this width."""
    lines: list[list[FooterKey]] = [[]]
    room = width
    for key in keys:
        if lines[-1] and key.width + _GAP > room:
            lines.append([])
            room = width
        room -= key.width + (_GAP if lines[-1] else 0)
        lines[-1].append(key)
    return lines


class KeyBar(Widget):
    """Keys of the screen, gray where they are not possible now; a click is the same as the key.

    Args:
        importance: ids of bindings; where there is no room for all, the last of these go first, and before
            them those that are not named.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key", "key-bar--label", "key-bar--off"}
    DEFAULT_CSS = """
    KeyBar { height: auto; padding: 0 1; background: $panel; dock: bottom; }
    KeyBar > .key-bar--key { color: $accent; text-style: bold; }
    KeyBar > .key-bar--label { color: $foreground; }
    KeyBar > .key-bar--off { color: $foreground 40%; }
    KeyBar:nocolor > .key-bar--key { color: $foreground; }
    KeyBar:ansi > .key-bar--off { text-style: dim; }
    """

    def __init__(self, importance: Sequence[str] = ()) -> None:
        super().__init__()
        self._importance = tuple(importance)
        self._keys: tuple[FooterKey, ...] = ()
        self._labels: Mapping[str, str] = {}

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._update_keys)

    @property
    def keys(self) -> tuple[FooterKey, ...]:
        """The keys, whether or not there is room for them."""
        return self._keys

    def relabel(self, labels: Mapping[str, str]) -> None:
        """Show other labels than those of the bindings, by their ids."""
        self._labels = labels
        self._update_keys(self.screen)

    def _update_keys(self, screen: "Screen[object]") -> None:
        found: dict[str, FooterKey] = {}
        line = screen.focused if isinstance(screen.focused, TypedLine) else None
        first = []  # ids of the keys of the line in which text is typed
        for active in drop_typed_keys(line, screen.active_bindings).values():
            binding = active.binding
            if active.node is line:
                first.append(binding.id)
            if binding.show and binding.id and binding.id not in found:
                found[binding.id] = FooterKey(
                    id=binding.id,
                    key=binding.key,
                    display=visible(self.app.get_key_display(binding)),
                    label=visible(self._labels.get(binding.id, binding.description)),
                    enabled=active.enabled,
                    tooltip=active.tooltip,
                )
        # A key that the configuration has changed comes last in Textual's own order.
        usual = [*first, *(binding.id for binding in screen.BINDINGS if isinstance(binding, Binding))]
        fresh = tuple(sorted(found.values(), key=lambda key: _usual_index(usual, key.id)))
        if fresh != self._keys:
            lines = len(self._shown_lines())
            self._keys = fresh
            self.refresh(layout=len(self._shown_lines()) != lines)

    def fitting_keys(self, width: int, lines: int = 1) -> list[list[FooterKey]]:
        """Return the keys that fit in so many lines, in their usual order; at least one line."""
        rank = {name: index for index, name in enumerate(self._importance)}
        kept: set[str] = set()
        fitting: list[list[FooterKey]] = [[]]
        for key in sorted(self._keys, key=lambda key: rank.get(key.id, len(rank))):
            wrapped = _wrap([other for other in self._keys if other.id in kept or other is key], width)
            if len(wrapped) <= lines and key.width <= width:
                kept.add(key.id)
                fitting = wrapped
        return fitting

    def _shown_lines(self) -> list[list[FooterKey]]:
        lines = 2 if self.screen.size.height >= TWO_LINES_FROM else 1
        return self.fitting_keys(self.screen.size.width - self.gutter.width, lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._shown_lines())

    def render(self) -> Text:
        key = self.get_component_rich_style("key-bar--key")
        label = self.get_component_rich_style("key-bar--label")
        off = self.get_component_rich_style("key-bar--off")
        text = Text(no_wrap=True, end="")
        for number, line in enumerate(self._shown_lines()):
            text.append("\n" if number else "")
            for index, shown_key in enumerate(line):
                text.append(" " * _GAP if index else "", label)
                text.append(shown_key.display, key if shown_key.enabled else off)
                text.append(f" {shown_key.label}", label if shown_key.enabled else off)
        return text

    def _at(self, x: int, y: int) -> FooterKey | None:
        lines = self._shown_lines()
        start = 0
        for key in lines[y] if 0 <= y < len(lines) else ():
            if start <= x < start + key.width:
                return key
            start += key.width + _GAP
        return None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        under = self._at(event.x - self.gutter.left, event.y)
        self.tooltip = under.tooltip or None if under else None

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if (under := self._at(event.x - self.gutter.left, event.y)) is not None:
            self.app.simulate_key(under.key)
