"""Which versions run, as far as that can be seen without a log-in."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from orchestrator.events import NodeDone, Record
from orchestrator.node import Node

AT_ONCE = 16  # looks


class VersionTracker:
    """Of one application.

    Args:
        sees: own health tells the version that runs, and is asked from this machine; elsewhere only preflight
            looks.

    Attributes:
        by_node: as it was seen last.
        sees: as it was given.
    """

    def __init__(self, *, sees: bool) -> None:
        self.by_node: dict[str, str] = {}
        self.sees = sees

    def learn(self, record: Record, version: str) -> None:
        """Of a rollout to this version: a node that is done has it, or the one that its event tells."""
        if isinstance(record.event, NodeDone):
            self.by_node[record.event.node] = record.event.version or version

    def words(self) -> str:
        """The versions and on how many nodes they run; empty when none was seen."""
        counted = Counter(self.by_node.values())
        return ", ".join(f"{version} on {count}" for version, count in counted.most_common())

    async def look(self, nodes: Sequence[Node]) -> None:
        """See which version runs on these nodes."""
        if not self.sees:
            return
        slots = asyncio.Semaphore(AT_ONCE)

        async def look(node: Node) -> None:
            async with slots:
                seen = await node.health.look()
            if seen.version is not None:
                self.by_node[node.name] = seen.version
            else:
                self.by_node.pop(node.name, None)  # better no version than an old one

        await asyncio.gather(*(look(each) for each in nodes))
