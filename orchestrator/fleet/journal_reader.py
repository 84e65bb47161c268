"""What the journal of this machine says of each application, read again only where it has changed."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backends.local_files import describe_write_obstacle, identify_file
from orchestrator.errors import JournalError
from orchestrator.journal.entry_status import RolloutStatus, rollout_status
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import KnownVersion, known_versions


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """What the journal says of one application.

    Attributes:
        rollout: one that runs on this machine or was not finished; None if the last one ended healthy.
        versions: those of the nodes whose version the journal knows, by node.
    """

    rollout: RolloutStatus | None = None
    versions: Mapping[str, KnownVersion] = field(default_factory=dict)


class JournalReader:
    """Keeps the summaries of all applications.

    Args:
        path: of the journal; it may not be there yet.

    Attributes:
        summaries: by application; those without an entry are left out.
        problem: why the journal cannot be read, or cannot be written now, in words; else empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._file: tuple[int, int] | None = None  # device and inode of the journal that was read last
        self._version = -1  # of its content, when it was read last
        self._newest = 0  # the id of the newest entry that was seen
        self._late = set[str]()  # applications that are to be read once their rollout has ended
        self.summaries: dict[str, JournalSummary] = {}
        self.problem = ""

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def refresh(self, followed: Collection[str] = ()) -> None:
        """Read what has changed, one application at a time, so that no key waits for it.

        Args:
            followed: applications whose rollout is followed elsewhere; they are read again once it has ended.
        """
        try:
            journal = self._open()
            if journal is None:
                return
            changed = self._find_changed(journal)
            self._late = {name for name in changed | self._late if name in followed}
            for application in sorted(changed - self._late):
                self.summaries[application] = _summarize(journal, application)
                await asyncio.sleep(0)
            self.problem = describe_write_obstacle(self._path)
        except JournalError as error:
            self.problem = str(error)
            self.close()

    def _open(self) -> Journal | None:
        """Return the journal, opened again if another file has its name.

        None where there is none, as before the first rollout.
        """
        file = identify_file(self._path)
        if file != self._file:
            self.close()
            self._file = file
            self._late.clear()
            self.summaries.clear()
        if self._journal is None and file is not None:
            self._journal = Journal(self._path, read_only=True)
            self._version, self._newest = -1, 0
        return self._journal

    def _find_changed(self, journal: Journal) -> set[str]:
        # One that runs may end without a word when its process is killed.
        changed = self._late | {
            name
            for name, summary in self.summaries.items()
            if summary.rollout is not None and summary.rollout.standing == "running"
        }
        version = journal.version()
        if version != self._version:
            self._version = version
            for summary in journal.summaries(self._newest):
                self._newest = max(self._newest, summary.id)
                changed.add(summary.application)
        return changed


def _summarize(journal: Journal, application: str) -> JournalSummary:
    rollout = rollout_status(journal, application)
    if rollout is not None and rollout.standing == "unfinished" and not rollout.touched:
        rollout = None
    versions = known_versions(journal, application)
    return JournalSummary(rollout, {node: known for node, known in versions.items() if known.version})
