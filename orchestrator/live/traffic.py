"""The traffic of an application as a whole, from the rows of its backends: no server is read for it."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backends.haproxy.columns import count_queued
from orchestrator.balancers.request_errors import went_back
from orchestrator.balancers.response_times import ResponseTime, TimeReading, choose_response_time
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import Rates, RateSample


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the clients of an application got lately, over all load balancers that are live.

    Attributes:
        rate: requests, or sessions in TCP mode, per second; None while it is unknown.
        errors: the share of requests that ended in an error for the client, 0 to 1; None without requests.
            Errors that no server explains, such as 503 when none is there, count.
        errors_known: False in TCP mode.
        response: the mean response time of the last requests; None where it is unknown.
        queue: requests that wait for a server now.
        sessions: requests, or connections in TCP mode, in flight now.
        trend: the last known rates, oldest first.
    """

    rate: float | None = None
    errors: float | None = None
    errors_known: bool = True
    response: ResponseTime | None = None
    queue: int = 0
    sessions: int = 0
    trend: tuple[float, ...] = ()


def measure_traffic(view: FleetView) -> Traffic:
    """Return the traffic in a view."""
    return TrafficMeter().measure(view)


class TrafficMeter:
    """Measures the traffic of one application; each two samples are compared once."""

    def __init__(self) -> None:
        self._trends: dict[str, tuple[RateSample, list[float | None]]] = {}  # by load balancer

    def measure(self, view: FleetView) -> Traffic:
        """Return the traffic in a view."""
        live = view.live
        return _measure(live, [self._find_trend(balancer) for balancer in live])

    def _find_trend(self, balancer: BalancerView) -> list[float | None]:
        """Return requests per second between each two samples; None where they cannot be compared."""
        samples = balancer.rates.samples
        if not samples:
            return []
        seen, trend = self._trends.get(balancer.name, (None, []))
        if seen is samples[-1]:
            return trend
        if len(samples) > 1 and seen is samples[-2]:
            trend = [*trend, _find_rate(*samples[-2:])][-len(samples) + 1 :]
        else:
            trend = list(itertools.starmap(_find_rate, itertools.pairwise(samples)))
        self._trends[balancer.name] = samples[-1], trend
        return trend


def _measure(live: Sequence[BalancerView], trends: Sequence[list[float | None]]) -> Traffic:
    rates = [trend[-1] for trend in trends if trend and trend[-1] is not None]
    counted = [_count_errors(balancer.rates) for balancer in live]
    known = [(requests, errors) for requests, errors in counted if errors is not None]
    requests, errors = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
    return Traffic(
        rate=sum(rates) if rates else None,
        errors=errors / max(requests, errors) if requests or errors else None,
        errors_known=bool(known) or not counted,
        response=_find_response(live),
        queue=sum(_count_queue(balancer) for balancer in live),
        sessions=sum(
            counters.in_flight
            for balancer in live
            for sample in balancer.rates.samples[-1:]
            for counters in sample.backends.values()
        ),
        trend=_add_trends(trends),
    )


def _count_queue(balancer: BalancerView) -> int:
    return sum(backend.queue for backend in balancer.backends) + count_queued(balancer.servers)


def _find_rate(before: RateSample, after: RateSample) -> float | None:
    requests, seconds = _count_requests(before, after), after.at - before.at
    return requests / seconds if requests is not None and seconds > 0 else None


def _add_trends(trends: Sequence[Sequence[float | None]]) -> tuple[float, ...]:
    """Return the sums, aligned at the latest; as long as the shortest trend that has any value."""
    known = [[rate for rate in trend if rate is not None] for trend in trends]
    known = [trend for trend in known if trend]
    shortest = min(map(len, known), default=0)
    return tuple(map(sum, zip(*(trend[-shortest:] for trend in known), strict=True))) if known else ()


def _count_requests(before: RateSample, after: RateSample) -> int | None:
    total = 0
    for name, now in after.backends.items():
        then = before.backends.get(name)
        if then is None or went_back(then, now):
            return None
        total += max(0, now.requests - then.requests)
    return total


def _count_errors(rates: Rates) -> tuple[int, int | None]:
    """Return requests over all samples that are kept, and in how many of them a client saw an error.

    The errors are None in TCP mode, where they are not known.
    """
    if len(rates.samples) < 2:
        return 0, 0
    first, last = rates.samples[0], rates.samples[-1]
    requests = errors = 0
    cut_off, known = set[str](), not last.backends
    for name, now in last.backends.items():
        then = first.backends.get(name)
        known = known or now.http
        if then is None or not now.http or went_back(then, now):
            continue
        requests += max(0, now.requests - then.requests)
        errors += now.answered_5xx - then.answered_5xx
        if now.server_aborts > then.server_aborts:
            cut_off.add(name)  # perhaps: some versions count resets there that were answered with 502
    if not known:
        return 0, None
    return requests, errors + (rates.count_cut_off(cut_off) if cut_off else 0)


def _find_response(live: Sequence[BalancerView]) -> ResponseTime | None:
    """Return the mean over all backends and load balancers, by their requests; else the slowest average."""
    total_ms, requests, averages = 0, 0, list[int]()
    for balancer in live:
        for now, before in _read_times(balancer.rates.samples):
            found = choose_response_time(before, now)
            if found is None:
                continue
            if found.is_recent and before is not None:
                total_ms += found.ms * (now.answered - before.answered)
                requests += now.answered - before.answered
            else:
                averages.append(found.ms)
    if requests:
        return ResponseTime(round(total_ms / requests), is_recent=True)
    return ResponseTime(max(averages), is_recent=False) if averages else None


def _read_times(samples: Sequence[RateSample]) -> Iterator[tuple[TimeReading, TimeReading | None]]:
    """Yield the latest response times of each backend, and the first ones that are kept."""
    if not samples:
        return
    first, last = samples[0], samples[-1]
    for name, counters in last.backends.items():
        then = first.backends.get(name)
        yield (
            TimeReading.of(counters, last.backend_response.get(name)),
            TimeReading.of(then, first.backend_response.get(name)) if then is not None else None,
        )
