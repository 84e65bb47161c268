"""The comparison of two groups of servers by one kind of errors. Pure."""

from collections.abc import Mapping, MutableMapping

from orchestrator.canary.bursts import Spread
from orchestrator.canary.evidence import EProcess
from orchestrator.canary.poll import Poll
from orchestrator.canary.rows import Side

_TOTALS = ("errors", "requests", "other_errors", "other_requests")
_SUMS = (*_TOTALS, "counted", "excess", "other_excess", "weight", "other_weight")
_SPREAD = ("cells", "seconds", "second")


class Comparison:
    """Compares one group with the others at the same time, over any number of strata.

    Attributes:
        process: the evidence that errors are more frequent in the group.
        spread: how the errors of the group are spread.
        errors: errors of the group; only of strata in which both got requests.
        requests: likewise its requests.
        other_errors: likewise the errors of the others.
        other_requests: likewise the requests of the others.
        counted: errors of the group that count as evidence.
    """

    __slots__ = ("process", "spread", *_SUMS)

    def __init__(self) -> None:
        self.process = EProcess()
        self.spread = Spread()
        self.errors = self.requests = self.other_errors = self.other_requests = 0
        self.counted = 0.0
        # Of the ratio that Mantel and Haenszel found, which strata with different shares do not distort.
        self.excess = self.other_excess = 0.0
        self.weight = self.other_weight = 0.0

    def add(self, group: Side, others: Side, poll: Poll, null_ratio: float, m: float) -> None:
        """Add a stratum; one in which either got no requests changes nothing.

        Args:
            group: the group.
            others: the others. Their errors are not capped, which can only make the evidence weaker.
            poll: the poll.
            null_ratio: the largest ratio of error rates that is still as good.
            m: the size of bursts.
        """
        if not (group.requests and others.requests):
            return
        weight = group.weight + others.weight
        self.errors += group.errors
        self.requests += group.requests
        self.other_errors += others.errors
        self.other_requests += others.requests
        self.counted += group.counted
        self.excess += group.errors * others.weight / weight
        self.other_excess += others.errors * group.weight / weight
        self.weight += group.weight
        self.other_weight += others.weight
        self.spread.add(group.cells, poll)
        self.process.compare(group.counted, others.errors, (group.weight, others.weight), null_ratio, m)

    def exceeds(self, ratio: float) -> bool:
        """Return whether the error rate of the group is at least so many times that of the others.

        Half an error more of the others is reckoned with.
        """
        if not self.errors:
            return False
        half = 0.5 * self.weight / (self.weight + self.other_weight)
        return self.excess >= ratio * (self.other_excess + half)

    def save(
        self, name: str, logs: MutableMapping[str, list[float]], sums: MutableMapping[str, float]
    ) -> None:
        """Write the state under a name."""
        logs[name] = list(self.process.logs)
        for field in _SUMS:
            sums[f"{field} {name}"] = getattr(self, field)
        for field in _SPREAD:
            sums[f"{field} {name}"] = getattr(self.spread, field)

    @classmethod
    def load(cls, name: str, logs: Mapping[str, list[float]], sums: Mapping[str, float]) -> "Comparison":
        """Return what `save` wrote; one that has just begun if there is nothing."""
        found = cls()
        if name in logs:
            found.process = EProcess(logs[name])
            for field in _SUMS:
                value = sums.get(f"{field} {name}", 0.0)
                setattr(found, field, int(value) if field in _TOTALS else value)
            found.spread = Spread(*(sums.get(f"{field} {name}", 0.0) for field in _SPREAD))
        return found
