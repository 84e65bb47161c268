"""The versions to choose from for an upgrade: what can be installed, and what the journal knows of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backends.errors import RolldeckError
from backends.text import format_local_time
from orchestrator.journal.entry_status import entry_status
from orchestrator.journal.node_history import FleetHistory
from orchestrator.journal.store import Journal
from orchestrator.node import Node

MAX_ASKED_NODES = 3  # nodes that are asked what can be installed: they have the same repository or folder
LIST_TIMEOUT_S = 25.0  # for them to answer
MAX_EARLIER_ROLLOUTS = 50  # rollouts whose versions are offered


@dataclass(frozen=True, slots=True)
class VersionChoice:
    """A version to choose.

    Attributes:
        is_available: whether an installer has listed it; None where none could say.
        nodes: the number of nodes that have it now, as far as that is known.
        ended: how the last rollout to it ended, as `healthy in rollout 12, 2026-11-20`; empty without one.
        failed: on which nodes it has failed and was not proven since, as `failed on web2 in rollout 12`.
    """

    version: str
    is_available: bool | None = None
    nodes: int = 0
    ended: str = ""
    failed: str = ""

    @property
    def remarks(self) -> list[str]:
        """What there is to know about it, in words."""
        here = f"installed on {self.nodes}" if self.nodes else ""
        there = "not listed any more" if self.is_available is False else ""
        known = list(filter(None, (here, self.failed or self.ended, there)))
        return known or (["can be installed"] if self.is_available else [])


@dataclass(frozen=True, slots=True)
class VersionChoices:
    """The versions to choose from, and why there may be more.

    Attributes:
        choices: those that are available first, the newest first; then those of earlier rollouts.
        problem: why it is not known what can be installed; empty if it is.
    """

    choices: tuple[VersionChoice, ...] = ()
    problem: str = ""


def read_earlier_versions(
    journal: Journal, application: str, now_on: Mapping[str, str]
) -> tuple[VersionChoice, ...]:
    """Return the versions of earlier rollouts, the newest first, with how they ended.

    Args:
        journal: the journal.
        application: its name.
        now_on: the version of each node, as far as it is known.

    Raises:
        JournalError: it cannot be read.
    """
    history = FleetHistory.read(journal, application, limit=MAX_EARLIER_ROLLOUTS)
    found: dict[str, VersionChoice] = {}
    counts: dict[str, int] = {}
    for version in now_on.values():
        counts[version] = counts.get(version, 0) + 1
    for entry in journal.entries(application, limit=MAX_EARLIER_ROLLOUTS):
        if entry.kind == "change" or not entry.version or entry.version in found:
            continue
        when = format_local_time(entry.began, "%Y-%m-%d")
        ended = f"{entry_status(entry)} in rollout {entry.id}, {when}"
        failed = _describe_failures(history, entry.version)
        found[entry.version] = VersionChoice(entry.version, None, counts.get(entry.version, 0), ended, failed)
    return tuple(found.values())


def _describe_failures(history: FleetHistory, version: str) -> str:
    """Return on which nodes a version has failed, with the last rollout in which it did."""
    failed = {
        name: failure for name in history.nodes if (failure := history.failure(name, version)) is not None
    }
    if not failed:
        return ""
    shown = ", ".join([*list(failed)[:3], *(["…"] if len(failed) > 3 else [])])
    return f"failed on {shown} in rollout {max(failure.entry for failure in failed.values())}"


async def list_versions(nodes: Sequence[Node]) -> tuple[tuple[str, ...] | None, str]:
    """Ask some nodes which versions could be installed; this changes nothing.

    Returns:
        The versions, the newest first, as the first node lists them, then those that only others have; None
        where they cannot be listed. Then why not; empty where the installer has no way to list them.
    """
    asked = list(nodes[:MAX_ASKED_NODES])
    tasks = [asyncio.ensure_future(node.installer.versions()) for node in asked]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=LIST_TIMEOUT_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found: dict[str, None] = {}
    problems: list[str] = []
    answered = False
    for node, task in zip(asked, tasks, strict=True):
        if task.cancelled():
            problems.append(f"{node.name} did not answer within {LIST_TIMEOUT_S:g} s")
        elif isinstance(error := task.exception(), RolldeckError):
            problems.append(str(error))
        elif error is not None:
            raise error
        elif (versions := task.result()) is not None:
            answered = True
            found |= dict.fromkeys(versions)
    if answered:
        return tuple(found), ""
    return None, problems[0] if problems else ""


def merge(
    listed: Sequence[str] | None, earlier: Sequence[VersionChoice], problem: str = ""
) -> VersionChoices:
    """Put together what can be installed and what the journal knows.

    Args:
        listed: the versions that can be installed; None where that is not known.
        earlier: of `read_earlier_versions`.
        problem: why they are not known.
    """
    known = {choice.version: choice for choice in earlier}
    if listed is None:
        return VersionChoices(tuple(earlier), problem)
    first = [replace(known.get(version, VersionChoice(version)), is_available=True) for version in listed]
    rest = [replace(choice, is_available=False) for choice in earlier if choice.version not in set(listed)]
    return VersionChoices((*first, *rest), problem)
