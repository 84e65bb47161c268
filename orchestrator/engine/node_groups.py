"""Which nodes run the target version of a rollout, and which another one."""

from collections.abc import Mapping

from orchestrator.events.judgement import Group
from orchestrator.planning.plan import Plan, PlannedNode


class NodeGroups:
    """The group of each node of an application while a rollout goes on.

    A node with steps is "old" until it was put back with the target version, and in no group while it is
    worked on. In a rollback the target is the version gone back to.
    """

    def __init__(self, plan: Plan, other_versions: Mapping[str, str]) -> None:
        """Begin with the versions that are known.

        Args:
            plan: has the nodes of the rollout and their target versions.
            other_versions: the versions of nodes that are not in the plan, as far as they are known.
        """
        self._targets = {plan.target_version(node.name) for node in plan.nodes if node.steps} | {plan.version}
        self._groups: dict[str, Group] = {
            name: "new" if version in self._targets else "old"
            for name, version in other_versions.items()
            if version
        }
        self._groups |= {
            node.name: _group_at_first(node, plan.target_version(node.name)) for node in plan.nodes
        }

    def group_of(self, node: str) -> Group:
        """Return the group of a node now; empty where its version is not known."""
        return self._groups.get(node, "")

    @property
    def has_new(self) -> bool:
        """Whether any node runs the target version in rotation, as far as the rollout knows."""
        return "new" in self._groups.values()

    def take_out(self, node: str) -> None:
        """Note that a node is worked on."""
        self._groups[node] = ""

    def put_back(self, node: str, version: str | None) -> None:
        """Note that a node is put back with this version, which is its old one after a failure."""
        self._groups[node] = "new" if version in self._targets else "old"


def _group_at_first(node: PlannedNode, target_version: str) -> Group:
    if not node.has_version:
        return ""
    # What is installed says nothing of what serves while there is work to do.
    serves = node.running if node.steps else node.displayed_version
    return "new" if serves == target_version else "old"
