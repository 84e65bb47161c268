"""The command palette: every action that works now, own ones first, actions on nodes, and the themes."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import (
    CommandInput,
    CommandList,
    CommandPalette,
    DiscoveryHit,
    Hit,
    Hits,
    Matcher,
    Provider,
    SearchIcon,
)
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, LoadingIndicator, OptionList

from backends.text import visible
from console.tui.screens.main import MainScreen
from console.tui.themes import THEMES
from widgets.dialogs.overlay import Overlay

NODE_ACTIONS = {
    "look": ("details", "Load balancers side by side, sessions, checks, log, journal"),
    "log": ("log", "The log of its service, as it is written"),
    "shell": ("shell", "A shell there; `exit` comes back"),
    "drain": ("drain", "No new traffic; sessions continue"),
    "maint": ("maintenance", "Out at once"),
    "ready": ("ready", "Back in rotation, after health checks"),
    "weight": ("weight", "Set the weight"),
}
MAX_HITS = 50  # nobody reads more, and there may be thousands of nodes
MAX_NODES_LISTED = 8  # before anything is typed
OWN_ACTIONS = 1000.0  # is added to the score of an action whose name or explanation has the typed text
NAMED_SO = 500.0  # is added on top where its name begins with that


class CommandHits(CommandList):
    """The list of the palette; a click on a line that has just gone does nothing."""

    async def _on_click(self, event: events.Click) -> None:
        event.prevent_default()  # Textual would call its own handler again
        with contextlib.suppress(IndexError):
            await super()._on_click(event)


class Palette(CommandPalette, Overlay[None]):
    """Textual's palette, which runs a command once and takes any key at any time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "app.help", "help", id="help", tooltip="All keys that work here", show=False)
    ]
    DEFAULT_CSS = """
    Palette > .command-palette--help-text { text-style: not bold not dim; }
    """

    def compose(self) -> ComposeResult:
        with Vertical(id="--container"):
            with Horizontal(id="--input"):
                yield SearchIcon()
                yield CommandInput(placeholder=self._placeholder, select_on_focus=False)
            with Vertical(id="--results"):
                yield CommandHits()
                yield LoadingIndicator()

    def _action_command_list(self, action: str) -> None:
        # A list that was not laid out yet has no lines: a page key that arrives by then would be an error.
        with contextlib.suppress(KeyError):
            super()._action_command_list(action)

    async def _on_message(self, message: Message) -> None:
        # A second Enter in the same packet would run the command again.
        if not (self.is_answered and isinstance(message, (Input.Submitted, OptionList.OptionSelected))):
            await super()._on_message(message)


@dataclass(frozen=True, slots=True)
class PaletteCommand:
    """A command of the palette."""

    name: str
    meaning: str
    run: Callable[[], Awaitable[Any] | Any]


def list_actions(screen: Screen[Any]) -> Iterator[PaletteCommand]:
    """Yield every action that works now: those of the screen, of what has the focus, and of the console."""
    app, found = screen.app, dict[str, PaletteCommand]()
    own: list[str] = []
    for active in screen.active_bindings.values():
        binding = active.binding
        name = binding.id or ("quit" if binding.action == "quit" else "")
        if not name or not active.enabled or name in found:
            continue
        key = app.get_key_display(binding)
        run = partial(app.run_action, binding.action, active.node)
        found[name] = PaletteCommand(f"{binding.description} ({key})", binding.tooltip or "", run)
        own += [name] if active.node is screen else []
    yield from (found.pop(name) for name in own)
    yield from found.values()


def score_command(matcher: Matcher, query: str, command: PaletteCommand) -> float:
    """Return how well a command matches; 0 where it does not. Text as typed counts more than its letters."""
    typed = query.casefold().strip()
    score = max(matcher.match(command.name), matcher.match(command.meaning) / 2)
    if command.name.casefold().startswith(typed):
        return score + OWN_ACTIONS + NAMED_SO
    if typed in f"{command.name} {command.meaning}".casefold():
        return score + OWN_ACTIONS
    return matcher.match(command.name)


def highlight(matcher: Matcher, text: str) -> Content:
    """Return a text with the letters that match marked. It may come from outside, and is no markup."""
    score, offsets = matcher.fuzzy_search.match(matcher.query, text)
    content = Content(text)
    if score:
        for offset in offsets:
            content = content.stylize(matcher.match_style, offset, offset + 1)
    return content


def as_help(text: str) -> str:
    """Return an explanation that may come from outside: Textual would read the markup of a plain text."""
    return cast("str", Content(text))  # which Textual takes as well


class NodeCommands(Provider):
    """Provider of node actions for the command palette, such as `web3 drain`; each asks before it acts."""

    @property
    def _main(self) -> MainScreen | None:
        return self.screen if isinstance(self.screen, MainScreen) else None

    async def search(self, query: str) -> Hits:
        main = self._main
        if main is None:
            return
        matcher = self.matcher(query)
        count = 0
        for node, action in self._likely(main, query.casefold().split()):
            label = f"{visible(node)} {NODE_ACTIONS[action][0]}"
            score = max(matcher.match(label), matcher.match(f"{NODE_ACTIONS[action][0]} {visible(node)}"))
            if score > 0:
                yield Hit(
                    score,
                    highlight(matcher, label),
                    partial(main.act_on, action, node),
                    text=label,
                    help=NODE_ACTIONS[action][1],
                )
                count += 1
            if count == MAX_HITS:
                return

    async def discover(self) -> Hits:
        main = self._main
        if main is not None:
            for node in main.node_names[:MAX_NODES_LISTED]:
                label = f"{visible(node)} details"
                yield DiscoveryHit(
                    Content(label),
                    partial(main.act_on, "look", node),
                    label,
                    NODE_ACTIONS["look"][1],
                )

    def _likely(self, main: MainScreen, words: list[str]) -> Iterator[tuple[str, str]]:
        """Yield actions on nodes that match by substring: fuzzy matching of 10,000 names would block."""
        for node in main.node_names:
            name = node.casefold()
            if len(main.node_names) > MAX_HITS and not any(word in name for word in words):
                continue
            for action in NODE_ACTIONS:
                if main.may(action):
                    yield node, action


class ConsoleCommands(NodeCommands):
    """Provider of the actions of the screen in front, then those of every screen, then those on nodes."""

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(
                Content(command.name),
                command.run,
                command.name,
                as_help(command.meaning),
            )
        async for hit in super().discover():
            yield hit

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            if (score := score_command(matcher, query, command)) > 0:
                name, meaning = highlight(matcher, command.name), as_help(command.meaning)
                yield Hit(score, name, command.run, command.name, meaning)
        async for hit in super().search(query):
            yield hit

    def _commands(self) -> Iterator[PaletteCommand]:
        app = self.app
        yield from list_actions(self.screen)
        yield PaletteCommand("Theme", "Choose the colors; the choice is remembered", app.search_themes)
        yield PaletteCommand(
            "Screenshot", "Save a picture of the screen", partial(app.set_timer, 0.1, app.deliver_screenshot)
        )


class ThemedApp(Protocol):
    """An application that remembers its theme."""

    def choose_theme(self, name: str) -> None:
        """Use a theme, and remember it."""


class ThemeCommands(Provider):
    """Provider of the themes."""

    async def discover(self) -> Hits:
        app = cast("ThemedApp", self.app)
        for name in THEMES:
            yield DiscoveryHit(name, partial(app.choose_theme, name), help=self._note(name))

    async def search(self, query: str) -> Hits:
        app = cast("ThemedApp", self.app)
        matcher = self.matcher(query)
        for name in THEMES:
            if (score := matcher.match(name)) > 0:
                yield Hit(
                    score, highlight(matcher, name), partial(app.choose_theme, name), help=self._note(name)
                )

    def _note(self, name: str) -> str | None:
        return "shown now" if name == self.app.theme else None
