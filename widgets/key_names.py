"""The keys as they are configured, for texts that name them."""

from textual.binding import Binding
from textual.dom import DOMNode


def name_keys(node: DOMNode) -> dict[str, str]:
    """Return the display name of the first key of each binding of a node, by the id of the binding."""
    names: dict[str, str] = {}
    for owner in type(node).__mro__:
        for binding in vars(owner).get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                key = node.app._keymap.get(binding.id, binding.key).split(",")[0]
                names.setdefault(binding.id, node.app.get_key_display(binding.with_key(key)))
    return names
