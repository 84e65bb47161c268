"""The entries of one node in the journal on disk, for the page of the node."""

import asyncio
from typing import TYPE_CHECKING

from backends.errors import RolldeckError
from orchestrator.session.session import Session

if TYPE_CHECKING:
    from orchestrator.journal.node_entries import NodeEntry

READ_INTERVAL_S = 5.0  # between two reads of the journal


class JournalReader:
    """Reads the entries of a node in the journal on disk, again and again, beside the event loop.

    Attributes:
        latest: the newest entries, the newest first.
        unread: why they cannot be read; empty when they can.
    """

    def __init__(self, session: Session, node: str) -> None:
        self._session = session
        self._node = node
        self.latest: tuple[NodeEntry, ...] = ()
        self.unread = ""

    async def run(self) -> None:
        """Read for ever."""
        while True:
            try:
                read = self._session.work_log.node_entries
                found, self.unread = tuple(await asyncio.to_thread(read, self._node)), ""
            except RolldeckError as error:
                found, self.unread = (), str(error)
            if found != self.latest:
                self.latest = found
            await asyncio.sleep(READ_INTERVAL_S)
