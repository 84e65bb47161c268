"""Response times of the servers of one backend on one load balancer, window by window. Pure.

The mean of a server's requests in a window is recovered from HAProxy's average (`response_times`). What is
compared are logarithms. Each server has a level, its usual mean beside the others, learned while it ran the
old version; where there was no time for that, the median of its peers' levels serves. What all old servers
share at one time, such as a slow database, is the median of what their means differ from their levels. The
rest is the server's own: of old ones the spread, of a new one the sign.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from orchestrator.balancers.response_times import RecoveredMean, TimeReading, recover_mean
from orchestrator.canary.poll import Cell
from orchestrator.events.judgement import Group

WINDOW_S = 10.0
"""Seconds that a window lasts at least."""
WINDOW_REQUESTS = 100
"""Requests of a server in a window, at least: rounding hides 5.6 ms then."""

_IN_ROTATION_S = 5.0  # since the last poll in which a server had requests
_LEVEL_WINDOWS = 30  # windows, five minutes, over which a level is averaged
_ASSUMED_SPREAD = 0.4  # of logarithms, before old servers have shown theirs
_ASSUMED_WINDOWS = 2  # windows that the assumption counts for
_MIN_GUARD = 1.5
_GUARD_SPREADS = 3.0  # standard deviations
_MIN_DIFFERENCE_MS = 20.0
_FEW_REQUESTS, _FEW_GUARDS = 25, 3.0  # requests that suffice, and so many times the guard that they must show


class Comparison(NamedTuple):
    """The response time of a new server in one window, beside what its peers let expect.

    Attributes:
        mean_ms: its mean.
        expected_ms: what it would be if it still compared with its peers as before its upgrade.
        requests: requests of the new server.
        slower: whether it is slower, by more than old servers differ by.
    """

    mean_ms: float
    expected_ms: float
    requests: int
    slower: bool


class EndedWindow(NamedTuple):
    """A window of a new server: from when to when, in monotonic seconds, and what it showed."""

    began_at: float
    at: float
    compared: Comparison


class _Window(NamedTuple):
    """A window that goes on: when it began, and what was read of each server then."""

    at: float
    readings: dict[str, TimeReading]


@dataclass(slots=True)
class Series:
    """One server over time.

    Attributes:
        node: the node behind it.
        group: which version it runs; empty while it is worked on.
        level: logarithm of its usual mean in milliseconds; None: not known.
        level_windows: how many windows it is averaged over.
        reading: what was read last; None: nothing yet.
        read_at: when that was.
        returned_at: when it was first seen in its group.
        window: the current one of a new server.
    """

    node: str = ""
    group: Group = ""
    level: float | None = None
    level_windows: int = 0
    reading: TimeReading | None = None
    read_at: float = 0.0
    returned_at: float = 0.0
    window: _Window | None = None

    def learn(self, value: float) -> None:
        """Average the level with one more value."""
        self.level_windows = min(self.level_windows + 1, _LEVEL_WINDOWS)
        self.level = value if self.level is None else self.level + (value - self.level) / self.level_windows


@dataclass(slots=True)
class StratumTimes:
    """The servers of one backend on one load balancer.

    Attributes:
        series: by server name.
        squares: sum over windows of the mean square of what old servers differed by.
        windows: how many windows that were.
    """

    series: dict[str, Series] = field(default_factory=dict)
    squares: float = 0.0
    windows: int = 0
    _window: _Window | None = None  # of the old servers

    def guard(self, level_windows: int) -> float:
        """Return the ratio above which a server counts as slower: three standard deviations of old servers.

        Args:
            level_windows: how many windows the server's level is averaged over; it varies as these do. 0: it
                is that of its peers, from which its own may differ.
        """
        assumed = _ASSUMED_WINDOWS * _ASSUMED_SPREAD**2
        variance = (self.squares + assumed) / (self.windows + _ASSUMED_WINDOWS)
        of_level = variance / level_windows if level_windows else variance + _ASSUMED_SPREAD**2
        return max(_MIN_GUARD, math.exp(_GUARD_SPREADS * math.sqrt(variance + of_level)))

    def add(self, at: float, cells: Sequence[Cell]) -> Mapping[str, EndedWindow]:
        """Add one poll, and return the windows of new servers that end with it, by server name."""
        for cell in cells:
            self._read(at, cell)
        old = self._old_in_rotation(at)
        self._end_window_of_old(at, old)
        ended = {}
        for cell in cells:
            if cell.group == "new" and (window := self._end_window_of_new(at, cell.server, old)):
                ended[cell.server] = window
        return ended

    def leave(self, node: str) -> None:
        """Note that a node is worked on from now on."""
        for series in self.series.values():
            if series.node == node:
                series.group, series.window = "", None

    def compare_now(self, server: str, least_requests: int, guards: float = 1.0) -> Comparison | None:
        """Compare a new server in its current window, with all that rounding can hide in its favor.

        Args:
            server: its name.
            least_requests: requests of each server that is looked at.
            guards: how many times the guard it must be slower than expected.
        """
        window = self.series[server].window
        means = self._means(window, self.series, least_requests) if window is not None else {}
        if (mean := means.get(server)) is None:
            return None
        others = {name: found for name, found in means.items() if self.series[name].group == "old"}
        hidden_ms = mean.error_ms + max((found.error_ms for found in others.values()), default=0.0)
        lowest = RecoveredMean(mean.mean_ms - hidden_ms, 0.0, mean.requests)
        return self._compare(server, lowest, self._common(others), guards)

    def _read(self, at: float, cell: Cell) -> None:
        series = self.series.setdefault(cell.server, Series())
        reading = cell.reading
        if series.reading is not None and reading.answered < series.reading.answered:
            self._forget_readings(cell.server)  # HAProxy began to count again
        if series.group != cell.group or series.reading is None:
            series.group, series.window, series.returned_at = cell.group, None, at
        series.node, series.reading, series.read_at = cell.node, reading, at

    def _forget_readings(self, server: str) -> None:
        for window in (self._window, *(series.window for series in self.series.values())):
            if window is not None:
                window.readings.pop(server, None)

    # -- windows ------------------------------------------------------------------------------

    def _begin(self, at: float) -> _Window:
        readings = {name: series.reading for name, series in self.series.items()}
        return _Window(at, {name: reading for name, reading in readings.items() if reading is not None})

    def _means(
        self, window: _Window, servers: Iterable[str], least_requests: int = WINDOW_REQUESTS
    ) -> dict[str, RecoveredMean]:
        """Return the means in a window, of those servers with enough requests in it."""
        means = {}
        for name in servers:
            before, after = window.readings.get(name), self.series[name].reading
            if before is None or after is None:
                continue
            mean = recover_mean(before, after)
            if mean is not None and mean.requests >= least_requests:
                means[name] = mean
        return means

    def _means_at_end(
        self, window: _Window, at: float, servers: Collection[str]
    ) -> dict[str, RecoveredMean] | None:
        """Return the means of these servers; None while the window goes on.

        It goes on until half of those servers have enough requests whose mean can be recovered.
        """
        if at - window.at < WINDOW_S:
            return None
        usable = []
        for name in servers:
            before, after = window.readings.get(name), self.series[name].reading
            if before is not None and after is not None and before.is_exact <= after.is_exact:
                usable.append(name)
        means = self._means(window, usable)
        return means if 2 * len(means) >= len(usable) else None

    # -- old servers --------------------------------------------------------------------------

    def _old_in_rotation(self, at: float) -> list[str]:
        return [
            name
            for name, series in self.series.items()
            if series.group == "old" and at - series.read_at <= _IN_ROTATION_S
        ]

    def _end_window_of_old(self, at: float, old: Collection[str]) -> None:
        if self._window is None:
            self._window = self._begin(at)
        if (means := self._means_at_end(self._window, at, old)) is None:
            return
        self._window = self._begin(at)
        own = self._own(means)
        if len(own) > 1:
            squares = [(value - median(_without(own, name))) ** 2 for name, value in own.items()]
            self.squares += sum(squares) / len(squares)
            self.windows += 1
        common = self._common(means) or 0.0
        for name, mean in means.items():
            self.series[name].learn(_log(mean) - common)

    def _own(self, means: Mapping[str, RecoveredMean]) -> dict[str, float]:
        """Return what the means differ from the levels by, as logarithms, where a level is known."""
        levels = {name: self.series[name].level for name in means}
        return {name: _log(means[name]) - level for name, level in levels.items() if level is not None}

    def _common(self, means: Mapping[str, RecoveredMean]) -> float | None:
        """Return by how much these servers together are slower than usual, as a logarithm."""
        own = self._own(means)
        return median(own.values()) if own else None

    # -- new servers --------------------------------------------------------------------------

    def _end_window_of_new(self, at: float, server: str, old: Collection[str]) -> EndedWindow | None:
        series = self.series[server]
        window = series.window
        if window is None or server not in window.readings or not old:
            series.window = self._begin(at)
            return None
        means, others = self._means_at_end(window, at, [server]), self._means_at_end(window, at, old)
        if others is None:
            return None
        if means is None:
            # Least-connections hardly sends anything to a slow server: it would not be found in time.
            few = self.compare_now(server, _FEW_REQUESTS, _FEW_GUARDS) if at - window.at >= WINDOW_S else None
            if few is None or not few.slower:
                return None
            means = self._means(window, [server], _FEW_REQUESTS)
        series.window = self._begin(at)
        mean = means.get(server)
        compared = self._compare(server, mean, self._common(others)) if mean is not None else None
        return EndedWindow(window.at, at, compared) if compared is not None else None

    def _compare(
        self, server: str, mean: RecoveredMean, common: float | None, guards: float = 1.0
    ) -> Comparison | None:
        series = self.series[server]
        level = self._level_of_peers() if series.level is None else series.level
        if level is None or common is None:
            return None
        expected_ms = math.exp(level + common)
        slower = (
            math.exp(_log(mean)) > guards * self.guard(series.level_windows) * expected_ms
            and mean.mean_ms - expected_ms > _MIN_DIFFERENCE_MS
        )
        return Comparison(mean.mean_ms, expected_ms, mean.requests, slower)

    def _level_of_peers(self) -> float | None:
        known = [series.level for series in self.series.values() if series.group == "old"]
        levels = [level for level in known if level is not None]
        return median(levels) if levels else None


def _log(mean: RecoveredMean) -> float:
    """Return the logarithm of a mean, but of no less than what rounding can hide."""
    return math.log(max(1.0, mean.error_ms, mean.mean_ms))


def _without(values: Mapping[str, float], server: str) -> list[float]:
    return [value for name, value in values.items() if name != server]
