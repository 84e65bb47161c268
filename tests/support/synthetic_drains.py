"""Synthetic services in their steady state, whose drains are forecast before the true end is looked at."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from orchestrator.planning.drain_forecast import DrainForecast, Lifetimes, ResidualCurve

DEADLINE_S = 300.0
PEERS = 3  # servers beside the one that drains


@dataclass(frozen=True, slots=True)
class Session:
    """One session in flight: how old it is, and how long it still lasts."""

    age_s: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Kind:
    """A part of the sessions: how many a server has in flight on average, and how long they last in all.

    The length is that of a session that is met in flight: long ones are met more often.
    """

    in_flight: float
    length_s: Callable[[Random], float]


def exponential(mean_s: float) -> Callable[[Random], float]:
    return lambda random: random.gammavariate(2, mean_s)


def lognormal(median_s: float, sigma: float) -> Callable[[Random], float]:
    return lambda random: median_s * math.exp(random.gauss(sigma**2, sigma))


def pareto(least_s: float, shape: float) -> Callable[[Random], float]:
    return lambda random: least_s * random.paretovariate(shape - 1)


MIXES = {
    "short requests (exponential, 0.2 s)": (Kind(12, exponential(0.2)),),
    "requests and 3 % reports of 20 s": (Kind(11.64, exponential(0.3)), Kind(24, exponential(20))),
    "lognormal (median 1 s, sigma 1.5)": (Kind(20 * math.exp(1.5**2 / 2), lognormal(1.0, 1.5)),),
    "5 % websockets (Pareto, mean 10 min)": (Kind(2.4, exponential(0.5)), Kind(150, pareto(200, 1.5))),
}


def sessions_in_flight(kinds: tuple[Kind, ...], random: Random) -> list[Session]:
    """Return the sessions on one server at one moment: each is somewhere in its life."""
    found = []
    for kind in kinds:
        for _ in range(_poisson(kind.in_flight, random)):
            length, place = kind.length_s(random), random.random()
            found.append(Session(length * place, length * (1 - place)))
    return found


def _poisson(mean: float, random: Random) -> int:
    """Count the arrivals within `mean` units of time."""
    count, at = 0, random.expovariate(1)
    while at < mean:
        count, at = count + 1, at + random.expovariate(1)
    return count


def curve_of(sessions: list[Session]) -> ResidualCurve:
    """Return what a drain of these sessions would have shown, once a second until the deadline."""
    seconds = [0.0, *(float(number) for number in range(1, int(DEADLINE_S) + 1))]
    left = [sum(session.left_s > second for session in sessions) for second in seconds]
    return ResidualCurve(tuple(seconds), tuple(left))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One forecast and the truth; the end is the deadline where the drain does not end before."""

    forecast: DrainForecast
    end_s: float

    @property
    def busy(self) -> bool:
        return self.end_s >= DEADLINE_S

    @property
    def inside(self) -> bool:
        """Whether it ended within the 80 % interval, which nobody looks at beyond the deadline."""
        low, high = (min(DEADLINE_S, value) for value in (self.forecast.low_s, self.forecast.high_s))
        return low - 0.5 <= self.end_s <= high + 0.5

    @property
    def error_s(self) -> float:
        return abs(min(DEADLINE_S, self.forecast.median_s) - self.end_s)


def forecast_drain(kinds: tuple[Kind, ...], random: Random, *, ages: bool, earlier: int) -> Outcome | None:
    """Forecast one drain from what `show sess` shows and from earlier drains; None without any session."""
    own = sessions_in_flight(kinds, random)
    seen = [*own, *(session for _ in range(PEERS) for session in sessions_in_flight(kinds, random))]
    lifetimes = Lifetimes.estimate(
        [int(session.age_s) for session in seen] if ages else [],
        [curve_of(sessions_in_flight(kinds, random)) for _ in range(earlier)],
    )
    if not own:
        return None
    end_s = min(DEADLINE_S, max(session.left_s for session in own))
    return Outcome(lifetimes.forecast(len(own), deadline_s=DEADLINE_S), end_s)
