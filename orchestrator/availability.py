"""Whether the wanted version can be had, asked on every node that is to get it before any is touched."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence

from backends.availability import Availability, Presence
from backends.suggestion import suggest
from orchestrator.node import Node
from orchestrator.plan import Finding, PlannedNode, Severity

SHOWN_OTHERS = 5  # versions that an error names


async def look_for_versions(
    nodes: Collection[Node], planned: Sequence[PlannedNode], version: str
) -> dict[str, Availability]:
    """Look on all nodes that are to be installed, side by side.

    Args:
        nodes: those that could be looked at; others are not asked again.
        planned: what is to be done with each node.
        version: of the plan, for nodes without one of their own.

    Returns:
        What was found, by the name of the node.
    """
    node_by_name = {node.name: node for node in nodes}
    asked = {
        row.name: node_by_name[row.name].installer.check_availability(row.wanted or version)
        for row in planned
        if row.name in node_by_name and _is_installed(row, row.wanted or version)
    }
    return dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))


def judge_availability(
    found: Mapping[str, Availability], planned: Sequence[PlannedNode], version: str
) -> Iterator[Finding]:
    """A version that cannot be had is an error, one that may be had is said not to be checked."""
    wanted = {row.name: row.wanted or version for row in planned}
    for name, availability in found.items():
        match availability.presence:
            case Presence.NOT_THERE:
                text = f"{wanted[name]} cannot be had: {_words(availability, wanted[name])}"
                yield Finding(Severity.ERROR, name, text)
            case Presence.NOT_KNOWN:
                text = f"not checked whether {wanted[name]} can be had: {_words(availability, wanted[name])}"
                yield Finding(Severity.INFO, name, text)


def _is_installed(row: PlannedNode, version: str) -> bool:
    """Whether its turn will install the version. One that an installer may still bring is not looked for."""
    return "install" in row.steps and row.installed != version and row.awaits is None


def _words(availability: Availability, version: str) -> str:
    shown = availability.others[:SHOWN_OTHERS]
    more = len(availability.others) - len(shown)
    there = f"; there is {', '.join(shown)}" if shown else ""
    there += f" and {more} more" if more else ""
    meant = suggest(version, availability.others).strip()
    return "; ".join(part for part in (f"{availability.detail}{there}", meant) if part)
