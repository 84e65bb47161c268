"""The keys of a screen for its help: those of what has the focus first, as they work now, hidden ones too."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.screen import Screen

_TITLE = re.compile(r"^#+\s*(.+?)\s*$", re.MULTILINE)
EVERYWHERE = "Everywhere"


@dataclass(frozen=True, slots=True)
class HelpKey:
    """An action and the keys that start it.

    Attributes:
        keys: as they are displayed, such as "up, k".
        label: what it does, in one or two words.
        meaning: what it does, as a sentence.
        id: the name of the action in `[console.keys]`; empty where its keys cannot be changed.
        works: whether it is possible now.
    """

    keys: str
    label: str
    meaning: str
    id: str
    works: bool


@dataclass(frozen=True, slots=True)
class HelpSection:
    """The help of one widget or screen: a title, paragraphs, and keys."""

    title: str
    paragraphs: tuple[str, ...]
    keys: tuple[HelpKey, ...]


def collect_sections(screen: Screen[object]) -> list[HelpSection]:
    """Return the help of a screen: of what has the focus, of what is around it, and of other parts."""
    sections: list[HelpSection] = []
    taken: set[str] = set()
    chain = [*screen._modal_binding_chain, *_app_chain(screen)]
    for node, bindings in chain:
        sections += _collect_section(screen.app, node, bindings, taken)
    explained = {type(node) for node, _ in chain}
    for widget in screen.focus_chain:
        if type(widget) not in explained:
            explained.add(type(widget))
            other = widget._bindings.copy()
            other.apply_keymap(screen.app._keymap)
            sections += _collect_section(screen.app, widget, other, set(), " (with the focus: tab)")
    return sections


def _collect_section(
    app: App[object], node: DOMNode, bindings: BindingsMap, taken: set[str], where: str = ""
) -> list[HelpSection]:
    """Return the help of one node; none where it has neither keys nor a text."""
    found = _collect_keys(app, node, bindings, taken)
    keys = tuple(sorted(found, key=lambda key: not key.id))  # ours, before those that every screen has
    title, paragraphs = split_help(getattr(node, "HELP", None) or "")
    return [HelpSection((title or _name(node)) + where, paragraphs, keys)] if keys or paragraphs else []


def _app_chain(screen: Screen[object]) -> Iterator[tuple[DOMNode, BindingsMap]]:
    """Yield the console's own keys where a dialog keeps all others from it: these work nevertheless."""
    if screen.is_modal:
        yield (
            screen.app,
            BindingsMap(binding for _, binding in screen.app._bindings.copy() if binding.priority),
        )


def _name(node: DOMNode) -> str:
    if isinstance(node, App):
        return EVERYWHERE
    if isinstance(node, Screen):
        return "This screen"
    if title := getattr(node, "BINDING_GROUP_TITLE", None):
        return str(title)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__)
    return words.capitalize()


def _collect_keys(
    app: App[object], node: DOMNode, bindings: BindingsMap, taken: set[str]
) -> Iterator[HelpKey]:
    """Yield the actions of one node; a key that something nearer to the focus has is left out."""
    actions: dict[str, list[Binding]] = {}
    for key, binding in bindings:
        if key in taken and not binding.priority:
            continue
        if not binding.system and (binding.description or binding.tooltip):
            actions.setdefault(binding.action, []).append(binding)
    taken.update(key for key, _ in bindings)
    for action, found in actions.items():
        state = app._check_action_state(action, node)
        first = next((binding for binding in found if binding.tooltip), found[0])
        yield HelpKey(
            keys=", ".join(dict.fromkeys(app.get_key_display(binding) for binding in found)),
            label=first.description if first.tooltip else "",
            meaning=first.tooltip or first.description,
            id=first.id or "",
            works=bool(state),
        )


def split_help(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the title and the paragraphs of a HELP text, without its marks for bold and code."""
    title = _TITLE.search(text)
    rest = _TITLE.sub("", text)
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", rest))
    return title[1] if title else "", tuple(part for part in paragraphs if part)


def narrow_sections(sections: Sequence[HelpSection], query: str) -> list[HelpSection]:
    """Return what has all words of a query: keys by any of their texts, and paragraphs."""
    words = query.casefold().split()

    def matches(*texts: str) -> bool:
        text = " ".join(texts).casefold()
        return all(word in text for word in words)

    narrowed = []
    for section in sections:
        if matches(section.title):
            narrowed.append(section)
            continue
        keys = tuple(key for key in section.keys if matches(key.keys, key.label, key.meaning, key.id))
        paragraphs = tuple(text for text in section.paragraphs if matches(text))
        if keys or paragraphs:
            narrowed.append(HelpSection(section.title, paragraphs, keys))
    return narrowed
