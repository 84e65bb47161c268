"""The command palette: every node with its actions. The screen's own actions are in `app.py`."""

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from backends.text import visible
from console.tui.screens.main import MainScreen

NODE_ACTIONS = {
    "look": ("details", "Load balancers side by side, sessions, checks, journal"),
    "drain": ("drain", "No new traffic; sessions continue"),
    "maint": ("maintenance", "Out at once"),
    "ready": ("ready", "Back in rotation, after health checks"),
    "weight": ("weight", "Set the weight"),
}
MAX_HITS = 50  # hits: nobody reads more, and there may be thousands of nodes


class NodeCommands(Provider):
    """`web3 drain`, `drain web3`, `web3`: each asks before it does anything."""

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
                    matcher.highlight(label),
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
            for node in main.node_names[:8]:
                label = f"{visible(node)} details"
                yield DiscoveryHit(label, partial(main.act_on, "look", node), help=NODE_ACTIONS["look"][1])

    def _likely(self, main: MainScreen, words: list[str]) -> Iterator[tuple[str, str]]:
        """Filter by substring first: fuzzy matching of ten thousand names would block the screen."""
        for node in main.node_names:
            name = node.casefold()
            if len(main.node_names) > MAX_HITS and not any(word in name for word in words):
                continue
            for action in NODE_ACTIONS:
                if main.may(action):
                    yield node, action
