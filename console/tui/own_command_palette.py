"""Commands of the operator's own in the command palette, such as `web3 disk usage`."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from backends.text import visible
from console.tui.command_palette import as_help, highlight
from console.tui.command_targets import targets_of
from console.tui.screens.main import MainScreen
from console.tui.workers import start_worker

if TYPE_CHECKING:
    from console.tui.own_commands import OwnCommands

MAX_HITS = 50  # nobody reads more, and there may be thousands of nodes


class OwnCommandProvider(Provider):
    """Provider of the commands of the configuration: for the chosen nodes, or for one that is named."""

    @property
    def _own(self) -> "OwnCommands":
        app: Any = self.app
        own: OwnCommands = app.own_commands
        return own

    async def discover(self) -> Hits:
        for index, command in enumerate(self._own.commands):
            if self._own.may_run(index, self.screen):
                label, run = f"{visible(command.title)} ({command.key})", partial(self._run, index, "")
                yield DiscoveryHit(Content(label), run, label, as_help(visible(command.run)))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        count = 0
        for index, node, label in self._labels(query.casefold().split()):
            if (score := matcher.match(label)) > 0:
                run = partial(self._run, index, node)
                meaning = as_help(visible(self._own.commands[index].run))
                yield Hit(score, highlight(matcher, label), run, label, meaning)
                count += 1
            if count == MAX_HITS:
                return

    def _labels(self, words: list[str]) -> Iterator[tuple[int, str, str]]:
        """Yield commands with nodes that match by substring: fuzzy matching of 10,000 names would block."""
        names = self.screen.node_names if isinstance(self.screen, MainScreen) else ()
        near = [
            name for name in names if len(names) <= MAX_HITS or any(word in name.casefold() for word in words)
        ]
        for index, command in enumerate(self._own.commands):
            if self._own.may_run(index, self.screen):
                yield index, "", visible(command.title)
                yield from ((index, name, f"{visible(name)} {visible(command.title)}") for name in near)

    async def _run(self, index: int, node: str) -> None:
        # Of the screen below the palette.
        start_worker(
            self.app, partial(self._own.run, index, targets_of(self.screen, node)), group="own-command"
        )
