"""A/A calibration: sham rollouts of the version that runs, which change nothing. Pure.

Each sham rollout labels one node after the other as if it ran a new version, in a random order, and asks a
judge of its own. Every "bad" is a false alarm. Meanwhile the size of bursts is learned, from far more errors
than there are before the first return of a real rollout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import msgspec

from orchestrator.canary.history import UNLEARNED_M, Dispersion, OwnRates
from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import FAST_PHASE_S, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings

BEFORE_S = 60.0  # of a sham rollout, until the first label
WATCH_S = 60.0  # after each label


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned about an application whose version did not change.

    Attributes:
        at: seconds since 1970, when it ended.
        duration_s: how long it took.
        shams: sham rollouts that were judged.
        blind: others, which got too few requests to be judged.
        alarms: those in which the verdict was "bad".
        holds: those in which it was "hold" at any time, and never "bad".
        requests: requests that were counted.
        errors: those that failed.
        m: the size of bursts of errors; None: there were too few errors to learn it.
    """

    at: float = 0.0
    duration_s: float = 0.0
    shams: int = 0
    blind: int = 0
    alarms: int = 0
    holds: int = 0
    requests: int = 0
    errors: int = 0
    m: float | None = None


@dataclass(slots=True)
class _Sham:
    """One sham rollout.

    Attributes:
        judge: its judge.
        order: its nodes, in the order of their labels.
        began: when it began, in monotonic seconds.
        held: whether the verdict was "hold" at any time.
        is_blind: whether it is "blind" now.
    """

    judge: Judge
    order: Sequence[str]
    began: float
    held: bool = False
    is_blind: bool = True

    def count_labels(self, at: float) -> int:
        """Return how many nodes are labeled; one more than there are when it is over."""
        return max(0, 1 + int((at - self.began - BEFORE_S) // WATCH_S))

    def label(self, poll: Poll) -> Poll:
        new = set(self.order[: self.count_labels(poll.at - poll.duration_s)])
        return replace(poll, strata=[_label(stratum, new) for stratum in poll.strata])


def _label(stratum: Stratum, new: set[str]) -> Stratum:
    cells = [cell._replace(group="new" if cell.node in new else "old") for cell in stratum.cells]
    return replace(stratum, cells=cells)


@dataclass(slots=True)
class ShamRollouts:
    """Runs sham rollouts one after the other over polls as they come.

    Attributes:
        settings: of the judges.
        lifetimes: what the servers did before.
        nodes: the nodes of the application.
        random: chooses orders and pauses.
        is_sticky: clients are tied to servers.
        shams: sham rollouts that were judged.
        blind: others, which got too few requests to be judged.
        alarms: why the verdict was "bad", of each false alarm.
        holds: how many were "hold" at any time, and never "bad".
        requests: requests that were counted.
        errors: those that failed.
    """

    settings: CanarySettings
    lifetimes: Sequence[Lifetime]
    nodes: Sequence[str]
    random: Random
    is_sticky: bool = False
    shams: int = 0
    blind: int = 0
    alarms: list[str] = field(default_factory=list)
    holds: int = 0
    requests: int = 0
    errors: int = 0
    _dispersion: Dispersion = field(default_factory=Dispersion)
    _rates: OwnRates = field(default_factory=OwnRates)
    _current: _Sham | None = None
    _next_at: float | None = None

    def __post_init__(self) -> None:
        self._rates = OwnRates(self.lifetimes)

    def add(self, poll: Poll) -> None:
        """Add the next poll of a load balancer; the groups of its cells do not matter."""
        self._learn(poll)
        if self._next_at is None:
            self._next_at = poll.at + self.random.uniform(0, 1)
        if self._current is None and poll.at >= self._next_at:
            order = self.random.sample(list(self.nodes), len(self.nodes))
            judge = Judge(self.settings, self.lifetimes, version="the labeled node", sticky=self.is_sticky)
            self._current = _Sham(judge, order, poll.at)
        if self._current is not None:
            self._judge(self._current, poll)

    def is_fast(self, at: float) -> bool:
        """Return whether a label is so young that polls are to be as frequent as after a real return."""
        sham = self._current
        return (
            sham is not None
            and sham.count_labels(at) > 0
            and (at - sham.began - BEFORE_S) % WATCH_S < FAST_PHASE_S
        )

    def _judge(self, sham: _Sham, poll: Poll) -> None:
        if sham.count_labels(poll.at) > len(sham.order):
            self.holds += sham.held
            self._finish(poll.at, is_blind=sham.is_blind)
            return
        sham.judge.add(sham.label(poll))
        judgement = sham.judge.judge(poll.at)
        sham.held |= judgement.state == "hold"
        sham.is_blind = judgement.state == "blind"
        if judgement.state == "bad":
            self.alarms.append(f"{judgement.node}: {judgement.reason}")
            self._finish(poll.at, is_blind=False)

    def _finish(self, at: float, *, is_blind: bool) -> None:
        self.blind += is_blind
        self.shams += not is_blind
        self._current = None
        self._next_at = at + self.random.uniform(0, WATCH_S)

    def _learn(self, poll: Poll) -> None:
        for stratum in poll.strata:
            place = (poll.balancer, stratum.backend)
            servers = {}
            for cell in stratum.cells:
                if cell.errors is None or not cell.requests:
                    continue
                self.requests += cell.requests
                self.errors += cell.errors
                weight = cell.requests * self._rates.relative(place, cell.server, UNLEARNED_M)
                servers[cell.server] = (cell.errors, weight)
            if servers:
                self._dispersion.add(place, poll.duration_s, servers)

    def calibration(self, at: float, duration_s: float) -> Calibration:
        """Return what is known until now.

        Args:
            at: now, in seconds since 1970.
            duration_s: how long it took.
        """
        m = self._dispersion.m
        return Calibration(
            at=at,
            duration_s=round(duration_s, 1),
            shams=self.shams,
            blind=self.blind,
            alarms=len(self.alarms),
            holds=self.holds,
            requests=self.requests,
            errors=self.errors,
            m=None if m is None else round(m, 2),
        )


def expected_duration(nodes: int) -> float:
    """Return how many seconds a sham rollout takes with its pause."""
    return BEFORE_S + nodes * WATCH_S + WATCH_S / 2
