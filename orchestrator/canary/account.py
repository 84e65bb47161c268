"""Everything that a judge has learned from polls. Pure."""

from collections.abc import Mapping, MutableMapping

from orchestrator.canary.bursts import Spread
from orchestrator.canary.comparison import Comparison
from orchestrator.canary.evidence import EProcess, is_suspicious
from orchestrator.canary.history import UNLEARNED_M, Place
from orchestrator.canary.nodes import NodeEvidence
from orchestrator.canary.normality import Normality
from orchestrator.canary.poll import Poll
from orchestrator.canary.unanswered import FRESH_S, Hanging

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
        hanging: requests that have no answer, by backend. They are no part of the evidence, and not saved.
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
        self.hanging: dict[Place, Hanging] = {}
        found = {name.removeprefix("bad "): order for name, order in sums.items() if name.startswith("bad ")}
        self.bad_nodes = sorted(found, key=lambda node: found[node])

    def add_time(self, poll: Poll) -> None:
        """Add the time of a poll in which both versions got requests; polls of load balancers overlap."""
        self.compared_s += max(0.0, poll.at - max(self.compared_until, poll.at - poll.duration_s))
        self.compared_until = max(self.compared_until, poll.at)

    def forget_hanging(self, poll: Poll) -> None:
        """Forget what hung before a poll in backends of which nothing is known now."""
        backends = {stratum.backend for stratum in poll.strata}
        self.hanging = {
            place: found
            for place, found in self.hanging.items()
            if poll.at - found.at <= FRESH_S and (place[0] != poll.balancer or place[1] in backends)
        }

    @property
    def is_spread(self) -> bool:
        """Whether errors of the new version, or requests that time out or hang, are spread enough."""
        return self.hard.spread.enough or any(found.spread for found in self.hanging.values())

    @property
    def is_suspicious(self) -> bool:
        """Whether the evidence beside the old version is enough where that of before is proof."""
        counted = self.hard.counted + sum(found.counted for found in self.hanging.values())
        return is_suspicious(self.hanging_evidence.log_value, counted, self.m or UNLEARNED_M)

    @property
    def hanging_evidence(self) -> EProcess:
        """The evidence against the new version beside the old one, as if what hangs had failed."""
        process = EProcess(self.hard.process.logs)
        for found in self.hanging.values():
            process.compare(found.counted, 0.0, found.weights, found.null_ratio, self.m or UNLEARNED_M)
        return process

    @property
    def hanging_history(self) -> EProcess:
        """Likewise beside the time before."""
        process = EProcess(self.normality.new.logs)
        for found in self.hanging.values():
            process.expect(found.counted, 0.0, self.m or UNLEARNED_M)
        return process

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
