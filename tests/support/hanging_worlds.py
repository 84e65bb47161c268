"""Simulated rollouts in which requests hang: until they time out, until a stall is over, or for long."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Literal

from orchestrator.balancers.response_times import EXACT_RESPONSES
from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import (
    FAST_INTERVAL_S,
    FAST_PHASE_S,
    SLOW_INTERVAL_S,
    Cell,
    Lifetime,
    Poll,
    Stratum,
)
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Group

_REACTION_S = 0.25  # from a verdict until its node is out of rotation

End = Literal["answered", "failed", "timed out", "streamed"]
"""How a request ends; one that is streamed was answered before."""


@dataclass(frozen=True, slots=True)
class HangingWorld:
    """How requests hang, and how a rollout goes.

    Attributes:
        nodes: how many there are.
        rps: requests per second to each.
        timeout_s: `timeout server`.
        answer_s: mean time until an answer.
        base: share of requests that fail at once, on all nodes.
        silent: share of requests to the new version that never get an answer.
        slower_s: how much longer the new version takes for all requests.
        warm_up_s: for so long after its return, all requests to a node take `stall_s` longer.
        stall_every_s: mean time between two stalls of one node, whatever it runs; 0: there are none.
        stall_s: how long a stall lasts.
        stall_share: share of requests that a stall holds up until it is over.
        stream_share: share of requests whose response goes on for `stream_s`, as of downloads.
        stream_s: the mean of that.
        history_s: for how long HAProxy has counted before.
        before_s: time before the first drain.
        out_s: for how long each node is out of rotation.
        watch_s: for how long each node is watched.
        only_first: only the first node is upgraded.
    """

    nodes: int = 4
    rps: float = 40.0
    timeout_s: float = 1.0
    answer_s: float = 0.003
    base: float = 0.0
    silent: float = 0.0
    slower_s: float = 0.0
    warm_up_s: float = 0.0
    stall_every_s: float = 0.0
    stall_s: float = 1.5
    stall_share: float = 1.0
    stream_share: float = 0.0
    stream_s: float = 30.0
    history_s: float = 3600.0
    before_s: float = 20.0
    out_s: float = 3.0
    watch_s: float = 40.0
    only_first: bool = False


@dataclass(slots=True)
class HangingOutcome:
    """What the judge made of a rollout; seconds are from the return of the first node.

    Attributes:
        judge: it, as it was at the end.
        bad_after_s: when the verdict was "bad"; None: it never was.
        failed: requests to the new version that get no answer or an error, until the node can be out.
        held_after_s: when the verdict was "hold" first.
        reason: why.
        suspected_after_s: when there was a suspicion first.
    """

    judge: Judge
    bad_after_s: float | None = None
    failed: int = 0
    held_after_s: float | None = None
    reason: str = ""
    suspected_after_s: float | None = None


def simulate_hanging(
    world: HangingWorld, seed: int | str, settings: CanarySettings | None = None
) -> HangingOutcome:
    """Simulate a rollout until it ends or is stopped, and return what the judge makes of it.

    Args:
        world: how requests hang.
        seed: of the random numbers.
        settings: of the judge.
    """
    fleet = _Fleet(world, Random(seed))  # noqa: S311 - a simulation
    outcome = HangingOutcome(Judge(settings or CanarySettings(), fleet.lifetimes(), version="1.5.0"))
    judge = outcome.judge
    first_return = world.before_s + world.out_s
    for poll in fleet.polls():
        judge.add(poll)
        after_s = poll.at - first_return
        if judge.is_bad:
            outcome.bad_after_s = after_s
            outcome.failed = fleet.count_failed(poll.at + _REACTION_S)
            break
        found = judge.judge(poll.at)
        if found.state == "hold" and outcome.held_after_s is None:
            outcome.held_after_s, outcome.reason = after_s, found.reason
        if outcome.suspected_after_s is None and judge.suspicion(poll.at):
            outcome.suspected_after_s = after_s
    return outcome


@dataclass(slots=True)
class _Node:
    """A node: when something happens to it next, and what HAProxy has counted of it since the last poll."""

    name: str
    average_ms: float
    read_ms: int  # the average at the last poll
    answered_ever: int
    next_request: float
    next_stall: float
    group: Group = "old"
    returned_at: float = -math.inf
    stall_end: float = -math.inf
    ends: list[tuple[float, End, float]] = field(default_factory=list)  # when, how, milliseconds until then
    failed: list[float] = field(default_factory=list)  # when those requests began
    in_flight: int = 0
    requests: int = 0
    errors: int = 0
    broken: int = 0
    answered: int = 0

    def read(self) -> Cell:
        """Return what came since the last time."""
        cell = Cell(
            node=self.name,
            server=self.name,
            group=self.group,
            requests=self.requests,
            errors=self.errors,
            answered=self.answered,
            response_time=math.ceil(self.average_ms),
            total_answered=self.answered_ever,
            earlier_response_time=self.read_ms,
            broken=self.broken,
            in_flight=self.in_flight,
        )
        self.requests = self.errors = self.broken = self.answered = 0
        self.read_ms = math.ceil(self.average_ms)
        return cell

    def end(self, how: End, took_ms: float) -> None:
        """End a request."""
        self.in_flight -= 1
        self.errors += how in ("failed", "timed out")
        self.broken += how == "timed out"
        if how in ("answered", "failed"):
            self.answer()
        if how != "timed out":
            weight = 1 / min(self.answered_ever, EXACT_RESPONSES)
            self.average_ms += (took_ms - self.average_ms) * weight

    def answer(self) -> None:
        """Begin a response."""
        self.answered += 1
        self.answered_ever += 1


@dataclass(slots=True)
class _Fleet:
    """Nodes behind a load balancer, one of them upgraded after the other."""

    world: HangingWorld
    random: Random
    nodes: list[_Node] = field(default_factory=list)
    out: _Node | None = None
    at: float = 0.0

    def __post_init__(self) -> None:
        world = self.world
        counted = int(world.rps * world.history_s)
        self.nodes = [
            _Node(
                f"web{number}",
                1000 * world.answer_s,
                math.ceil(1000 * world.answer_s),
                counted,
                next_request=self.random.expovariate(world.rps),
                next_stall=self._pause_s() if world.stall_every_s else math.inf,
            )
            for number in range(1, world.nodes + 1)
        ]

    def lifetimes(self) -> list[Lifetime]:
        """Return what HAProxy has counted before, with the stalls that there were."""
        world = self.world
        counted, rate = int(world.rps * world.history_s), world.base
        if world.stall_every_s:
            lost_s = world.stall_share * max(0.0, world.stall_s - world.timeout_s)
            rate += lost_s / world.stall_every_s
        errors = round(counted * rate)
        return [Lifetime("lb1", "shop", node.name, counted, errors, world.history_s) for node in self.nodes]

    def polls(self) -> Iterator[Poll]:
        """Yield all polls of a rollout."""
        world = self.world
        yield from self._watch(world.before_s, 0.0)
        for node in self.nodes[: 1 if world.only_first else world.nodes]:
            self.out = node
            yield from self._watch(world.out_s, 0.0)
            self.out = None
            node.read()
            node.group, node.returned_at, node.next_request = "new", self.at, self.at
            yield from self._watch(world.watch_s, FAST_PHASE_S)

    def count_failed(self, until: float) -> int:
        """Return how many requests to the new version fail of those that begin until then."""
        self._advance(until)
        return sum(began <= until for node in self.nodes if node.group == "new" for began in node.failed)

    def _watch(self, duration_s: float, fast_s: float) -> Iterator[Poll]:
        begin = self.at
        while self.at < begin + duration_s - 1e-6:
            interval_s = FAST_INTERVAL_S if self.at - begin < fast_s else SLOW_INTERVAL_S
            self.at += interval_s
            self._advance(self.at)
            cells = [node.read() for node in self.nodes if node is not self.out]
            yield Poll("lb1", self.at, interval_s, [Stratum("shop", cells)])

    def _advance(self, until: float) -> None:
        """Let requests begin and end until a moment."""
        rate = self.world.rps * len(self.nodes) / (len(self.nodes) - (self.out is not None))
        for node in self.nodes:
            if node is self.out:
                node.next_request = until
            while node.next_request < until:
                self._begin(node, node.next_request)
                node.next_request += self.random.expovariate(rate)
            while node.ends and node.ends[0][0] <= until:
                node.end(*heappop(node.ends)[1:])

    def _begin(self, node: _Node, at: float) -> None:
        world, chance = self.world, self.random.random
        node.requests += 1
        node.in_flight += 1
        takes_s = self._find_duration(node, at)
        if takes_s >= world.timeout_s:
            node.failed.append(at)
            heappush(node.ends, (at + world.timeout_s, "timed out", 0.0))
        elif world.base and chance() < world.base:
            node.failed.append(at)
            heappush(node.ends, (at + takes_s, "failed", 1000 * takes_s))
        elif world.stream_share and chance() < world.stream_share:
            node.answer()
            end = at + takes_s + self.random.expovariate(1 / world.stream_s)
            heappush(node.ends, (end, "streamed", 1000 * takes_s))
        else:
            heappush(node.ends, (at + takes_s, "answered", 1000 * takes_s))

    def _find_duration(self, node: _Node, at: float) -> float:
        """Return how long an answer takes."""
        world, chance = self.world, self.random.random
        takes_s = world.answer_s * self.random.expovariate(1.0)
        while node.next_stall <= at:
            node.stall_end = node.next_stall + world.stall_s
            node.next_stall += self._pause_s()
        if at < node.stall_end and chance() < world.stall_share:
            takes_s += node.stall_end - at
        if node.group == "new":
            takes_s += world.slower_s
            if at - node.returned_at < world.warm_up_s:
                takes_s += world.stall_s
            if chance() < world.silent:
                takes_s = math.inf
        return takes_s

    def _pause_s(self) -> float:
        return self.random.expovariate(1 / self.world.stall_every_s)
