"""In which order nodes are put back where one follows another by `track`."""

from collections.abc import Mapping, Sequence

from backends.model import Server, ServerRef
from orchestrator.errors import PreflightFailed
from orchestrator.followers import Tracked, inherits, path, tracked_by
from orchestrator.node import Node
from orchestrator.plan import Finding, Severity


def in_return_order(
    nodes: Sequence[Node], mapped: Mapping[str, Sequence[ServerRef]], servers: Mapping[ServerRef, Server]
) -> list[Node]:
    """Put whoever is followed before those that follow it: nothing else ends what they inherit.

    Args:
        nodes: to be put back.
        mapped: the servers of each.
        servers: as they are now.

    Raises:
        PreflightFailed: one follows a server that is out and is not put back with it.
    """
    inheriting = tracked_by(server for server in servers.values() if inherits(server))
    errors = tuple(
        Finding(
            Severity.ERROR,
            str(ref),
            f"follows {path(followed)}, which is out, and cannot come back without that; put that back first",
        )
        for ref, followed in inheriting.items()
        if followed not in servers
    )
    if errors:
        raise PreflightFailed(errors)
    depths = {
        node.name: max((_depth(ref, inheriting) for ref in mapped[node.name]), default=0) for node in nodes
    }
    return sorted(nodes, key=lambda node: depths[node.name])


def _depth(ref: ServerRef, tracked: Tracked) -> int:
    """How many servers it inherits from, one after the other."""
    seen: list[ServerRef] = []
    while ref in tracked and ref not in seen:
        seen.append(ref)
        ref = tracked[ref]
    return len(seen)
