"""The facts that decide about a plan or a manual change: what an operator has agreed to, as plain values.

They are compared with those of the moment in which the work begins, which may be in another process.
"""

import msgspec

from backends.model import ServerRef
from orchestrator.engine.manual_change import Impact
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan, PlannedNode


class ServerFacts(msgspec.Struct, frozen=True):
    """One server line, with the state that is to be restored."""

    ref: ServerRef
    original: OriginalState


class NodeFacts(msgspec.Struct, frozen=True):
    """What decides about one node; texts are empty where nothing is known or to be done."""

    name: str
    servers: tuple[ServerFacts, ...]
    installed: str
    running: str
    unfinished_rollout: int
    running_command: str
    steps: tuple[str, ...]
    followers: tuple[ServerRef, ...]
    target_version: str

    @classmethod
    def of(cls, node: PlannedNode, version: str) -> "NodeFacts":
        """Return the facts of a node of a plan to this version."""
        command = node.running_command
        return cls(
            node.name,
            tuple(ServerFacts(ref, original) for ref, original in node.originals.items()),
            node.installed or "",
            node.running or "",
            node.unfinished_rollout,
            f"process {command.pid} on {command.target}" if command is not None else "",
            node.steps,
            node.followers,
            node.target_version or version,
        )


class PlanFacts(msgspec.Struct, frozen=True):
    """What decides about a rollout.

    Attributes:
        follows: the entry of the journal that it resumes or rolls back.
    """

    application: str
    version: str
    nodes: tuple[NodeFacts, ...]
    follows: int | None = None

    @classmethod
    def of(cls, plan: Plan, follows: int | None = None) -> "PlanFacts":
        nodes = tuple(NodeFacts.of(node, plan.version) for node in plan.nodes)
        return cls(plan.application, plan.version, nodes, follows)


class BrokenFloor(msgspec.Struct, frozen=True):
    """A capacity floor that a manual change would violate."""

    instance: str
    backend: str
    text: str


class ImpactFacts(msgspec.Struct, frozen=True):
    """What decides about a manual change."""

    nodes: tuple[str, ...]
    servers: tuple[ServerFacts, ...]
    broken: tuple[BrokenFloor, ...]
    followers: tuple[ServerRef, ...]
    registries: tuple[str, ...]

    @classmethod
    def of(cls, impact: Impact) -> "ImpactFacts":
        return cls(
            impact.nodes,
            tuple(ServerFacts(server.ref, OriginalState.of(server)) for server in impact.servers),
            tuple(
                BrokenFloor(capacity.instance, capacity.backend, str(capacity)) for capacity in impact.broken
            ),
            impact.followers,
            impact.registries,
        )
