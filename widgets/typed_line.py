"""Lines in which text is typed beside a table or a page, with the keys that work meanwhile."""

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import ActiveBinding, Binding, BindingType
from textual.keys import KEY_NAME_REPLACEMENTS, key_to_character
from textual.widget import Widget
from textual.widgets import Input

_UNICODE_NAMES = {key: name for name, key in KEY_NAME_REPLACEMENTS.items()}


class TypedLine(Input):
    """A line that takes every printable key, so that none of them is shown as a key of the screen."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        # Textual does not find the characters of keys that it has renamed, such as "slash".
        return super().check_consume_key(key, character or key_to_character(_UNICODE_NAMES.get(key, key)))

    def takes(self, key: str) -> bool:
        """Return whether this key is typed here."""
        return self.check_consume_key(key, None)


def drop_typed_keys(
    focused: Widget | None, bindings: Mapping[str, ActiveBinding]
) -> dict[str, ActiveBinding]:
    """Return those of the active bindings whose keys are not typed in the line that has the focus.

    Textual drops others before it applies the configured keys.
    """
    if not isinstance(focused, TypedLine):
        return dict(bindings)
    return {
        key: active
        for key, active in bindings.items()
        if active.node is focused or not focused.takes(active.binding.key)
    }


class FilterInput(TypedLine):
    """The line in which the filter of a table is typed; the screen clears it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "keep", id="filter-keep", tooltip="Keep the filter; back to the table"),
        Binding("escape", "screen.clear_filter", "show all", id="filter-clear", tooltip="Show all rows"),
    ]
