"""The evidence about single nodes: one bad machine, and the last node, when nothing is old any more. Pure."""

from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence

from orchestrator.canary.comparison import Comparison
from orchestrator.canary.evidence import average
from orchestrator.canary.poll import Poll
from orchestrator.canary.rows import Row, add_up


class NodeEvidence:
    """Compares each node with all others.

    A node of the new version is compared with all others, whatever they run; one of the old version only with
    others of the old version, as the new one may be better. A node begins anew with the new version.
    """

    def __init__(self, logs: Mapping[str, list[float]], sums: Mapping[str, float]) -> None:
        self.new: dict[str, Comparison] = {}  # the nodes of the new version
        self._old: dict[str, Comparison] = {}
        for found, prefix in ((self.new, "node new "), (self._old, "node old ")):
            for name in logs:
                if name.startswith(prefix):
                    found[name.removeprefix(prefix)] = Comparison.load(name, logs, sums)

    def save(self, logs: MutableMapping[str, list[float]], sums: MutableMapping[str, float]) -> None:
        for found, prefix in ((self.new, "node new "), (self._old, "node old ")):
            for node, comparison in found.items():
                comparison.save(prefix + node, logs, sums)

    def add(self, rows: Sequence[Row], poll: Poll, null_ratio: float, m: float) -> None:
        """Add the servers of one backend in one poll.

        Args:
            rows: the servers.
            poll: the poll.
            null_ratio: the largest ratio of error rates that is still as good.
            m: the size of bursts.
        """
        everybody = add_up(rows)
        others_old = add_up([row for row in rows if row.group != "new"])
        by_node = defaultdict[tuple[bool, str], list[Row]](list)
        for row in rows:
            by_node[row.group == "new", row.node].append(row)
        for (new, node), own_rows in by_node.items():
            own, total = add_up(own_rows), everybody if new else others_old
            others = total.without(own)
            if others.requests <= 0:
                continue
            if new:
                self._old.pop(node, None)
            comparison = (self.new if new else self._old).setdefault(node, Comparison())
            comparison.add(own, others, poll, null_ratio, m)

    def find_suspect(self, *, new: bool) -> tuple[str, float]:
        """Return the node that stands out most, and the logarithm of the evidence that there is such a node.

        Args:
            new: among those of the new version; otherwise of the old one.

        Returns:
            An empty name and 0 when none can be compared.
        """
        nodes = self.new if new else self._old
        if not nodes:
            return "", 0.0
        value = average((node.process for node in nodes.values()), len(self.new.keys() | self._old.keys()))
        return max(nodes, key=lambda node: (nodes[node].process.log_value, node)), value

    def of(self, node: str, *, new: bool) -> Comparison:
        """Return the comparison of a node; an empty one if it could not be compared."""
        return (self.new if new else self._old).get(node) or Comparison()
