"""Everything that a judge has learned from polls. Pure."""

from collections.abc import Mapping, MutableMapping

from orchestrator.canary.bursts import Spread
from orchestrator.canary.comparison import Comparison
from orchestrator.canary.nodes import NodeEvidence
from orchestrator.canary.normality import Normality
from orchestrator.canary.poll import Poll

_SUMS = ("errors", "requests", "judged_requests", "unknown_requests", "old_requests", "old_errors")


class Account:
    """What was learned about the new version and the others.

    Attributes:
        hard: errors that clients saw, of the new version against the old one.
        soft: likewise retries and redispatches.
        checks: likewise failed checks of HAProxy.
        nodes: each node against the others.
        normality: both versions against the time before.
        spread: how errors of the new version are spread, with or without an old version beside it.
        errors: errors of the new version.
        requests: requests that it got; only those whose errors are known.
        judged_requests: of these, those with something to compare with: an old version, or a long history.
        unknown_requests: sessions of the new version in TCP mode.
        old_requests: requests to the old version, also before the first node was back.
        old_errors: those that failed.
        m: the size of bursts; None: it is being learned.
        compared_s: for how many seconds both versions have been compared.
        compared_until: the end of these, in the monotonic seconds of polls.
        normal_rate: the error rate of before; None when it is not known.
        bad_nodes: the nodes for which the verdict is "bad", the latest one last; none: it is not.
    """

    def __init__(self, logs: Mapping[str, list[float]], sums: Mapping[str, float]) -> None:
        """Begin with what `save` wrote, or with nothing."""
        self.hard = Comparison.load("hard", logs, sums)
        self.soft = Comparison.load("soft", logs, sums)
        self.checks = Comparison.load("checks", logs, sums)
        self.nodes = NodeEvidence(logs, sums)
        self.normality = Normality(logs)
        own = {name: sums[f"new {name}"] for name in Spread.__slots__ if f"new {name}" in sums}
        self.spread = Spread(**own)
        self.errors = self.requests = self.judged_requests = self.unknown_requests = 0
        self.old_requests = self.old_errors = 0
        for name in _SUMS:
            setattr(self, name, int(sums.get(name, 0)))
        self.m = sums.get("m")
        self.compared_s = sums.get("compared_s", 0.0)
        self.compared_until = float("-inf")
        self.normal_rate: float | None = None
        found = {name.removeprefix("bad "): order for name, order in sums.items() if name.startswith("bad ")}
        self.bad_nodes = sorted(found, key=lambda node: found[node])

    def add_time(self, poll: Poll) -> None:
        """Add the time of a poll in which both versions got requests; polls of load balancers overlap."""
        self.compared_s += max(0.0, poll.at - max(self.compared_until, poll.at - poll.duration_s))
        self.compared_until = max(self.compared_until, poll.at)

    def save(self, logs: MutableMapping[str, list[float]], sums: MutableMapping[str, float]) -> None:
        """Write everything of which a later judge must not know less than this one."""
        self.hard.save("hard", logs, sums)
        self.soft.save("soft", logs, sums)
        self.checks.save("checks", logs, sums)
        self.nodes.save(logs, sums)
        self.normality.save(logs)
        for name in Spread.__slots__:
            sums[f"new {name}"] = getattr(self.spread, name)
        for name in _SUMS:
            sums[name] = getattr(self, name)
        sums["compared_s"] = self.compared_s
        if self.m is not None:
            sums["m"] = self.m
        for order, node in enumerate(self.bad_nodes, 1):
            sums[f"bad {node}"] = float(order)
