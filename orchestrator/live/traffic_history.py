"""The traffic of an application over the last minutes, from the counters of its backends."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orchestrator.balancers.request_errors import went_back
from orchestrator.balancers.response_times import TimeReading, choose_response_time
from orchestrator.live.poller import FleetView
from orchestrator.live.rates import RateSample

SPAN_S = 600.0  # seconds that are kept
_RESPONSE_POLLS = 8  # over which response times are averaged: less would be lost in rounding


@dataclass(frozen=True, slots=True)
class TrafficPoint:
    """What clients got in a span of time, over all load balancers.

    Attributes:
        rate: requests per second; in TCP mode sessions.
        error_rate: responses 5xx that clients got, per second; None in TCP mode, where they are not known.
        response_ms: mean response time; None without requests.
    """

    rate: float
    error_rate: float | None
    response_ms: float | None


@dataclass(frozen=True, slots=True)
class _Span:
    """What one load balancer counted between two reads. Times are monotonic seconds."""

    began: float
    ended: float
    requests: int
    errors: int | None
    response_ms: float | None


@dataclass(slots=True)
class _BalancerTraffic:
    samples: deque[RateSample] = field(default_factory=lambda: deque(maxlen=_RESPONSE_POLLS))
    spans: deque[_Span] = field(default_factory=deque)

    def add(self, sample: RateSample) -> None:
        if self.samples and self.samples[-1].at >= sample.at:
            return
        if self.samples:
            span = self._since(sample)
            if span is None:  # reloaded, or somebody has cleared the counters
                self.samples.clear()
            else:
                self.spans.append(span)
        # Without the counters of its servers, of which there may be thousands.
        self.samples.append(replace(sample, counters=(), response=()))
        while self.spans and self.spans[0].ended < sample.at - SPAN_S:
            self.spans.popleft()

    def _since(self, sample: RateSample) -> _Span | None:
        before, oldest = self.samples[-1], self.samples[0]
        if before.backends.keys() != sample.backends.keys():
            return None
        requests = failed = timed = 0
        total_ms = 0.0
        for name, now in sample.backends.items():
            then = before.backends[name]
            if went_back(then, now):
                return None
            count = max(0, now.requests - then.requests)
            requests += count
            failed += max(0, now.answered_5xx - then.answered_5xx)
            response = choose_response_time(_reading(oldest, name), _reading(sample, name)) if count else None
            if response is not None:
                total_ms += response.ms * count
                timed += count
        known = all(counters.http for counters in sample.backends.values())
        mean_ms = total_ms / timed if timed else None
        return _Span(before.at, sample.at, requests, failed if known else None, mean_ms)


def _reading(sample: RateSample, backend: str) -> TimeReading:
    return TimeReading.of(sample.backends[backend], sample.backend_response.get(backend))


class TrafficHistory:
    """The last ten minutes: give it every view, and read it at any moment."""

    def __init__(self) -> None:
        self._balancers: dict[str, _BalancerTraffic] = {}
        self.missing: tuple[str, ...] = ()  # load balancers whose traffic is not known now
        self.now = 0.0  # monotonic seconds of the newest read

    def add(self, view: FleetView) -> None:
        """Take the counters of all load balancers that were read since the view before."""
        self.missing = tuple(instance.name for instance in view.instances if instance.state != "live")
        for instance in view.instances:
            if instance.state == "live" and instance.rates.samples:
                sample = instance.rates.samples[-1]
                self._balancers.setdefault(instance.name, _BalancerTraffic()).add(sample)
                self.now = max(self.now, sample.at)

    @property
    def seconds(self) -> float:
        """The span to show: whole minutes, as many as something is known of, at most ten."""
        began = min(
            (traffic.spans[0].began for traffic in self._balancers.values() if traffic.spans),
            default=self.now,
        )
        return min(SPAN_S, 60.0 * max(1, math.ceil((self.now - began) / 60.0)))

    def columns(self, count: int, seconds: float = SPAN_S) -> list[TrafficPoint | None]:
        """Return the last `seconds` in this many equal parts; None where any load balancer was not read.

        Load balancers that do not answer now are in no part: see `missing`.
        """
        live = [traffic for name, traffic in self._balancers.items() if name not in self.missing]
        if not live or count < 1:
            return [None] * max(0, count)
        columns = [_distribute(traffic.spans, self.now - seconds, seconds / count, count) for traffic in live]
        return [_merge(parts) for parts in zip(*columns, strict=True)]


@dataclass(slots=True)
class _Part:
    """What one load balancer contributes to one column."""

    seconds: float = 0.0
    requests: float = 0.0
    errors: float | None = 0.0
    timed: float = 0.0
    total_ms: float = 0.0

    def add(self, span: _Span, seconds: float) -> None:
        share = seconds / (span.ended - span.began)
        self.seconds += seconds
        self.requests += span.requests * share
        if span.errors is None or self.errors is None:
            self.errors = None
        else:
            self.errors += span.errors * share
        if span.response_ms is not None:
            self.timed += span.requests * share
            self.total_ms += span.response_ms * span.requests * share


def _distribute(spans: Sequence[_Span], began: float, width_s: float, count: int) -> list[_Part]:
    parts = [_Part() for _ in range(count)]
    for span in spans:
        first = max(0, int((span.began - began) / width_s))
        last = min(count - 1, int((span.ended - began) / width_s))
        for index in range(first, last + 1):
            left = began + index * width_s
            overlap = min(span.ended, left + width_s) - max(span.began, left)
            if overlap > 0:
                parts[index].add(span, overlap)
    return parts


def _merge(parts: Sequence[_Part]) -> TrafficPoint | None:
    if not all(part.seconds > 0 for part in parts):
        return None
    errors = [part.errors / part.seconds for part in parts if part.errors is not None]
    timed = sum(part.timed for part in parts)
    return TrafficPoint(
        rate=sum(part.requests / part.seconds for part in parts),
        error_rate=sum(errors) if len(errors) == len(parts) else None,
        response_ms=sum(part.total_ms for part in parts) / timed if timed else None,
    )
