"""Simulated rollouts for the judge: what load balancers count, with errors in bursts and incidents."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp, floor, log, sqrt
from random import Random

from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings

_REACTION_POLLS = 1  # beside the poll that finds it: until the node is out of rotation
_INCIDENT_S = 60.0


@dataclass(frozen=True, slots=True)
class World:
    """How errors come, and how a rollout goes.

    Attributes:
        nodes: how many there are.
        rps: requests per second to each.
        base: error rate of the old version.
        bad_share: share of requests that fail on the new version beside that.
        bad_ratio: how many times the error rate of the old version the new one has.
        sigma: how much nodes differ (standard deviation of the logarithm of their error rates).
        clump: mean size of the bursts in which errors come (geometric); 1: they come alone.
        smear_s: time over which a burst is spread.
        burst: how bursty the traffic of all nodes is (variance of its factor in each poll).
        incident: probability of an incident that makes all nodes fail 30 times as often, for a minute.
        history_s: how long HAProxy has counted before.
        poll_s: time between polls while a node that has returned is watched; it is a second otherwise.
        before_s: time before the first drain.
        out_s: for how long each node is out of rotation.
        watch_s: for how long each node is watched.
        only_first: only the first node is upgraded.
    """

    nodes: int = 4
    rps: float = 40.0
    base: float = 0.001
    bad_share: float = 0.0
    bad_ratio: float = 1.0
    sigma: float = 0.0
    clump: float = 1.0
    smear_s: float = 0.0
    burst: float = 0.0
    incident: float = 0.0
    history_s: float = 3600.0
    poll_s: float = 1.0
    before_s: float = 60.0
    out_s: float = 20.0
    watch_s: float = 60.0
    only_first: bool = False


@dataclass(slots=True)
class Outcome:
    """What the judge made of a rollout.

    Attributes:
        stopped: whether the verdict was "bad".
        held: whether it was "hold" at any time.
        duration_s: from the return of the first node until the verdict.
        failed: requests that failed on the new version until its node could be out of rotation.
    """

    stopped: bool = False
    held: bool = False
    duration_s: float = 0.0
    failed: int = 0


def simulate(
    world: World, seed: int | str, settings: CanarySettings | None = None, *, holds: bool = False
) -> Outcome:
    """Simulate a rollout, and return what the judge makes of it.

    Args:
        world: how errors come.
        seed: of the random numbers.
        settings: of the judge.
        holds: whether to ask for the whole verdict after each poll, which takes more time.
    """
    fleet = _Fleet(world, Random(seed))  # noqa: S311 - a simulation
    judge = Judge(settings or CanarySettings(), fleet.lifetimes())
    outcome = Outcome()
    left = None
    first_return = world.before_s + world.out_s
    for poll, failed in fleet.polls():
        if left is not None:
            if not left:
                break
            left -= 1
            outcome.failed += failed
            continue
        judge.add(poll)
        outcome.failed += failed
        if holds or judge.is_bad:
            state = judge.judge(poll.at).state
            outcome.held |= state == "hold"
        if judge.is_bad:
            outcome.stopped, outcome.duration_s, left = True, poll.at - first_return, _REACTION_POLLS
    return outcome


@dataclass(slots=True)
class _Fleet:
    """Nodes behind a load balancer, one of them upgraded after the other."""

    world: World
    random: Random
    rates: list[float] = field(default_factory=list)
    later: list[deque[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = self.world
        self.rates = [world.base * exp(self.random.gauss(0, world.sigma)) for _ in range(world.nodes)]
        self.later = [deque() for _ in range(world.nodes)]

    def lifetimes(self) -> list[Lifetime]:
        world = self.world
        requests = int(world.rps * world.history_s)
        if not requests:
            return []
        return [
            Lifetime("lb1", "shop", f"web{node}", requests, self.clumped(rate * requests), world.history_s)
            for node, rate in enumerate(self.rates)
        ]

    def polls(self) -> Iterator[tuple[Poll, int]]:
        """Yield polls, and how many requests to the new version failed."""
        world = self.world
        at = 0.0
        upgrades = 1 if world.only_first else world.nodes
        incident_at = float("inf")
        if self.random.random() < world.incident:
            incident_at = world.before_s + self.random.random() * upgrades * (world.watch_s + world.out_s)
        # For each phase: duration, time between polls, nodes of the new version, node that is out.
        phases = [(world.before_s, 1.0, 0, -1)]
        for node in range(upgrades):
            phases += [(world.out_s, 1.0, node, node), (world.watch_s, world.poll_s, node + 1, -1)]
        for duration_s, poll_s, new, out in phases:
            for _ in range(round(duration_s / poll_s)):
                at += poll_s
                factor = 30.0 if incident_at < at < incident_at + _INCIDENT_S else 1.0
                yield self.poll(at, poll_s, new, out, factor)

    def poll(self, at: float, poll_s: float, new: int, out: int, factor: float) -> tuple[Poll, int]:
        world = self.world
        share = world.rps * poll_s * world.nodes / (world.nodes - (out >= 0))
        if world.burst:
            share *= self.random.gammavariate(1 / world.burst, world.burst)
        cells, failed = [], 0
        for node, rate in enumerate(self.rates):
            if node == out:
                continue
            requests = self.poisson(share)
            mine = rate * factor
            if node < new:
                mine = mine * world.bad_ratio + world.bad_share
            errors = self.errors(node, requests, min(1.0, mine), round(world.smear_s / poll_s))
            failed += errors if node < new else 0
            cells.append(Cell(f"web{node}", f"web{node}", "new" if node < new else "old", requests, errors))
        return Poll("lb1", at, poll_s, [Stratum("shop", cells)]), failed

    def errors(self, node: int, requests: int, rate: float, smear: int) -> int:
        """Return how many requests fail; bursts are spread over some polls."""
        if self.world.clump <= 1:
            return self.binomial(requests, rate)
        found = self.clumped(requests * rate)
        later = self.later[node]
        if smear > 1 or later:
            later.extend([0] * (smear - len(later)))
            for _ in range(found):
                later[self.random.randrange(max(1, smear))] += 1
            found = later.popleft()
        return min(requests, found)

    def clumped(self, mean: float) -> int:
        """Return errors that come in clumps of a geometric size."""
        size = self.world.clump
        count = self.poisson(mean / size)
        if size <= 1:
            return count
        if count > 100:
            return max(count, round(self.random.gauss(count * size, sqrt(count * size * (size - 1)))))
        scale = log(1 - 1 / size)
        return sum(1 + floor(log(1 - self.random.random()) / scale) for _ in range(count))

    def binomial(self, count: int, share: float) -> int:
        if share < 0.02:
            return min(count, self.poisson(count * share))
        return sum(self.random.random() < share for _ in range(count))

    def poisson(self, mean: float) -> int:
        if mean > 50:
            return max(0, round(self.random.gauss(mean, sqrt(mean))))
        left, count, term = self.random.random(), 0, exp(-mean)
        while left > term and count < 200:
            left -= term
            count += 1
            term *= mean / count
        return count
