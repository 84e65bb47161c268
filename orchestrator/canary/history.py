"""What is known about servers before a new version runs: own error rates, and the size of bursts. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import sqrt

from orchestrator.canary.poll import MAX_OLD_SERVERS, Lifetime

Place = tuple[str, str]
"""A load balancer and a backend on it."""

LONG_S = 600.0
"""From this age on, counters say what is normal."""

UNLEARNED_M = 5.0
UNLEARNED_STICKY_M = 10.0
LEAST_M = 1.25
MOST_M = 20.0
LEAST_DF = 20.0
"""With fewer degrees of freedom, the dispersion of errors is not known."""

_SHRINKAGE = 5.0  # in bursts: so many count as much as what a server has done itself
_BURST = 1.25  # the smallest m that is ever used stands for errors that come alone
_SECOND_S = 0.9  # what counts as a second
_LONG_REQUESTS = "lifetime long requests"
_LONG_ERRORS = "lifetime long errors"


class OwnRates:
    """How often each server failed since its load balancer began to count, before the rollout."""

    def __init__(self, lifetimes: Iterable[Lifetime] = (), sums: Mapping[str, float] | None = None) -> None:
        """Take them from the load balancers or, of a resumed rollout, from what the evidence keeps.

        Args:
            lifetimes: what the servers did.
            sums: what `save` wrote; where it knows a backend, `lifetimes` is not used.
        """
        self._kept = {key: value for key, value in (sums or {}).items() if key.startswith("lifetime ")}
        self._others: dict[str, float] = {}  # of servers that are not kept unless they are asked for
        self._relative: dict[tuple[Place, str, float], float] = {}
        servers = Counter[Place]()
        known = set(self._kept)
        for lifetime in lifetimes:
            place = (lifetime.balancer, lifetime.backend)
            if _name("duration", place) in known or lifetime.errors is None:
                continue
            self._add(_name("requests", place), lifetime.requests)
            self._add(_name("errors", place), lifetime.errors)
            servers[place] += 1
            sums = self._kept if servers[place] <= MAX_OLD_SERVERS else self._others
            sums[_name("requests", place, lifetime.server)] = lifetime.requests
            sums[_name("errors", place, lifetime.server)] = lifetime.errors
            if lifetime.duration_s >= LONG_S:
                self._add(_LONG_REQUESTS, lifetime.requests)
                self._add(_LONG_ERRORS, lifetime.errors)
            duration = _name("duration", place)
            self._kept[duration] = max(self._kept.get(duration, 0.0), lifetime.duration_s)

    def save(self) -> dict[str, float]:
        """Return what a later judge continues from: all sums, and the servers that were judged so far.

        Of a backend with few servers, these are all.
        """
        return dict(self._kept)

    def _add(self, key: str, value: float) -> None:
        self._kept[key] = self._kept.get(key, 0.0) + value

    def is_long(self, place: Place) -> bool:
        """Return whether counters are old enough to say what is normal."""
        return self._kept.get(_name("duration", place), 0.0) >= LONG_S

    def base(self, place: Place) -> float:
        """Return the error rate of a backend."""
        return estimate_rate(
            self._kept.get(_name("errors", place), 0.0), self._kept.get(_name("requests", place), 0.0)
        )

    def watch(self, place: Place, errors: int, requests: int) -> None:
        """Add what the old version does during the rollout; it counts where counters are young."""
        self._add(_name("watched errors", place), errors)
        self._add(_name("watched requests", place), requests)

    def upper_base(self, place: Place) -> float:
        """Return an error rate that is hardly exceeded, as known from all requests so far, however few."""
        errors, requests = (
            self._kept.get(_name(what, place), 0.0) + self._kept.get(_name(f"watched {what}", place), 0.0)
            for what in ("errors", "requests")
        )
        return limit_rate(errors, requests)

    @property
    def typical_base(self) -> float | None:
        """The error rate of all backends with long histories together; None: there is none."""
        requests = self._kept.get(_LONG_REQUESTS)
        return None if requests is None else estimate_rate(self._kept[_LONG_ERRORS], requests)

    def relative(self, place: Place, server: str, m: float) -> float:
        """Return a server's own error rate as a multiple of its backend's, shrunk towards 1.

        Args:
            place: its backend.
            server: its name.
            m: the size of bursts: larger ones make its own rate less certain.
        """
        key = (place, server, m)
        if key not in self._relative:
            self._relative[key] = self._compute_relative(place, server, m)
        return self._relative[key]

    def _compute_relative(self, place: Place, server: str, m: float) -> float:
        for what in ("requests", "errors"):
            name = _name(what, place, server)
            if name in self._others:
                self._kept[name] = self._others.pop(name)
        requests = self._kept.get(_name("requests", place, server), 0.0)
        errors = self._kept.get(_name("errors", place, server), 0.0)
        prior = _SHRINKAGE * m / _BURST
        return (errors + prior) / (requests * self.base(place) + prior)


def estimate_rate(errors: float, requests: float) -> float:
    """Return an error rate: half an error is added, so that it is never 0."""
    return (errors + 0.5) / (requests + 1.0)


def limit_rate(errors: float, requests: float) -> float:
    """Return an error rate that is hardly exceeded.

    Three errors are added: without any in n requests, a rate of 3/n is excluded at 95 %.
    """
    return min(1.0, (errors + 3.0) / max(requests, 1.0))


def _name(what: str, place: Place, server: str = "") -> str:
    return f"lifetime {what} {place[0]}/{place[1]}" + (f"/{server}" if server else "")


class Dispersion:
    """Learns how strongly errors come in bursts, from servers that all run the old version.

    Pearson's statistic of errors around the shares of them that the servers are expected to have, in sums
    over a second: bursts that are spread over several polls show only there.

    Attributes:
        chi: the statistic so far.
        df: its degrees of freedom.
    """

    def __init__(self, chi: float = 0.0, df: float = 0.0) -> None:
        self.chi = chi
        self.df = df
        self._seconds: dict[Place, _Second] = {}

    def add(self, place: Place, duration_s: float, servers: Mapping[str, tuple[int, float]]) -> None:
        """Add one backend in one poll.

        Args:
            place: the backend.
            duration_s: how long the poll took.
            servers: errors and weight of each server, by name.
        """
        second = self._seconds.setdefault(place, _Second())
        second.add(duration_s, servers)
        if second.duration_s >= _SECOND_S:
            self._learn(second)
            del self._seconds[place]

    def _learn(self, second: "_Second") -> None:
        errors = sum(found for found, _ in second.servers.values())
        weight = sum(share for _, share in second.servers.values())
        if not errors or weight <= 0 or len(second.servers) < 2:
            return
        for found, share in second.servers.values():
            expected = errors * share / weight
            self.chi += (found - expected) ** 2 / max(expected, 1e-9)
        self.df += len(second.servers) - 1

    @property
    def ratio(self) -> float | None:
        """The dispersion: 1 when errors come alone; None when it is not known."""
        return self.chi / self.df if self.df >= LEAST_DF else None

    @property
    def m(self) -> float | None:
        """The size of bursts to reckon with, on the safe side; None when it is not known."""
        ratio = self.ratio
        return None if ratio is None else limit_m(ratio, self.df)


class _Second:
    """What servers did in the polls of about a second."""

    __slots__ = ("duration_s", "servers")

    def __init__(self) -> None:
        self.duration_s = 0.0
        self.servers: dict[str, tuple[int, float]] = {}

    def add(self, duration_s: float, servers: Mapping[str, tuple[int, float]]) -> None:
        self.duration_s += duration_s
        for name, (errors, weight) in servers.items():
            errors_before, weight_before = self.servers.get(name, (0, 0.0))
            self.servers[name] = (errors_before + errors, weight_before + weight)


def limit_m(ratio: float, df: float) -> float:
    """Return the size of bursts to reckon with: an upper limit of a dispersion, by its degrees of freedom."""
    return min(MOST_M, max(LEAST_M, ratio * (1 + 2 * sqrt(2 / df))))


def choose_m(own: float | None, calibrated: float | None, dispersion: Dispersion, *, sticky: bool) -> float:
    """Return the size of bursts to reckon with.

    Args:
        own: as the settings have it, which outrank everything.
        calibrated: as `rolldeck calibrate` has learned it; if errors come in larger bursts now, these count.
        dispersion: what was learned before the first node came back.
        sticky: clients are tied to servers.
    """
    if own is not None:
        return own
    if calibrated is not None:
        return min(MOST_M, max(LEAST_M, calibrated, dispersion.ratio or 0.0))
    return dispersion.m or (UNLEARNED_STICKY_M if sticky else UNLEARNED_M)
