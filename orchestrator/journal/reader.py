"""Reads a journal in a thread of its own, so that a front end goes on meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from orchestrator.events.events import Record
from orchestrator.journal.entry_filter import EntryFilter, find_entries
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal

T = TypeVar("T")


class HistoryReader:
    """Entries of one journal; it is opened at the first read. All methods raise JournalError.

    Args:
        path: of the journal; a missing one reads as empty.
        named: see `Journal`.
    """

    def __init__(self, path: Path, *, named: bool = False) -> None:
        self._path = path
        self._named = named
        # SQLite's connections belong to the thread that has opened them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._journal: Journal | None = None

    async def summaries(self, wanted: EntryFilter, limit: int, before: int = 0) -> list[EntrySummary]:
        """Return summaries of entries, the newest first.

        Args:
            wanted: selects the entries.
            limit: their number at most.
            before: only entries with a smaller id than this one; 0 for all.
        """

        def read(journal: Journal) -> list[EntrySummary]:
            found = find_entries(journal, wanted, limit, before=before)
            return [EntrySummary.of(journal, entry) for entry in found]

        return await self._call(read)

    async def entry(self, number: int) -> tuple[EntrySummary, list[Record]] | None:
        """Return an entry with its events; None when there is none of this number."""

        def read(journal: Journal) -> tuple[EntrySummary, list[Record]] | None:
            entry = journal.entry(number)
            if entry is None:
                return None
            return EntrySummary.whole(journal, entry), list(journal.records(number))

        return await self._call(read)

    async def _call(self, read: Callable[[Journal], T]) -> T:
        def work() -> T:
            if self._journal is None:
                self._journal = Journal(self._path, read_only=True, named=self._named, check=False)
            return read(self._journal)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Close the journal once what is being read has been read; nobody waits for that."""

        def end() -> None:
            if self._journal is not None:
                self._journal.close()

        self._thread.submit(end)
        self._thread.shutdown(wait=False)
