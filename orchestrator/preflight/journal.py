"""The check whether the journal can be written: who finds out later stops in the middle of a node."""

from collections.abc import Iterator
from pathlib import Path

from backends.local_files import describe_write_obstacle, find_write_protected, measure_free_bytes
from orchestrator.planning.findings import Finding, Severity

MB = 1_000_000  # bytes
LOW_SPACE_BYTES = 64 * MB
"""What a large rollout may write. Each node takes about 30 kB, and each second in which ten nodes wait about
3 kB: 400 nodes in an hour are 25 MB. The log has the same events and is, by default, on the same disk. SQLite
writes another 4 MB before it moves them from its write-ahead log to the journal."""


def judge_journal(path: Path) -> Iterator[Finding]:
    """Refuse a journal that cannot be written, and warn of little space for it; nothing is written."""
    obstacle = describe_write_obstacle(path)
    if not obstacle and (protected := find_write_protected(path)) is not None:
        obstacle = f"this user may not write {protected}"
    free_bytes = measure_free_bytes(path)
    if obstacle:
        yield Finding(Severity.ERROR, "journal", f"{obstacle}; without a journal nothing is done")
    elif free_bytes < LOW_SPACE_BYTES:
        text = (
            f"only {free_bytes / MB:.0f} MB are free for {path}, and a large rollout may write"
            f" {LOW_SPACE_BYTES // MB} MB to the journal and the log: it ends at once when the disk is full"
        )
        yield Finding(Severity.WARNING, "journal", text)
