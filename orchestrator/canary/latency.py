"""Whether the new version is slower than its peers, from response times. Pure.

For each new server and window of at least ten seconds there is a sign: is it slower than its peers let
expect, by more than what old servers differ by? If the version is not slower, less than one sign in four is
expected. A bet on each sign (x 0.85/0.25, or x 0.15/0.75 without one) multiplies the server's e-value, which
then hardly ever gets far: that it reaches 1,000 at any time has a probability of 1 in 1,000. Slowness after a
return that ends by itself is a warm-up; what an earlier node needed is not held against the next one.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from orchestrator.balancers.response_times import EXACT_RESPONSES
from orchestrator.canary.judgement import Slowness
from orchestrator.canary.latency_watch import CERTAIN_S, PROOF, LatencyWatch
from orchestrator.canary.latency_windows import Comparison, Series, StratumTimes
from orchestrator.canary.poll import MAX_OLD_SERVERS, Lifetime, Poll
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Evidence

_SHORTEST_WARM_UP_S = 30.0
_WARM_UP_MARGIN = 1.25  # times what an earlier node needed
_EARLY_REQUESTS = 50  # of a first look at a node that is just back

# Names in the state that is journaled. No name of a backend or server has a slash.
_WATCH, _LEVEL, _SPREAD, _WARM_UP = "latency:", "latency level:", "latency spread:", "latency warm-up"

# Nothing larger is read from a state.
_MAX_SQUARES, _MAX_LEVEL, _MAX_WINDOWS, _MAX_WARM_UP_S = 1e6, 25.0, 1e6, 1e6

_Key = tuple[str, str, str]
"""Load balancer, backend, server."""


class LatencyJudge:
    """Judges the response times of a new version. One for each application and rollout; it has no clock."""

    def __init__(
        self, settings: CanarySettings, lifetimes: Iterable[Lifetime] = (), evidence: Evidence | None = None
    ) -> None:
        """Begin without evidence, or continue.

        Args:
            settings: what slowness leads to, and how long a warm-up lasts.
            lifetimes: what the servers did before the rollout.
            evidence: the state of a judge before, which this one continues; it outweighs `lifetimes`.

        Raises:
            ValueError: the evidence is not what `evidence` has returned.
        """
        self._settings = settings
        self._strata: dict[tuple[str, str], StratumTimes] = {}
        self._watches: dict[_Key, LatencyWatch] = {}
        self._saved: dict[_Key, LatencyWatch] = {}  # of servers that were not seen again yet
        self._left: set[str] = set()  # nodes that were worked on since
        self._learned_s = 0.0
        for lifetime in lifetimes:
            # The average of fewer requests may have missed the few that take longest, and most of the time.
            if lifetime.response_ms and lifetime.requests >= EXACT_RESPONSES:
                series = self._series((lifetime.balancer, lifetime.backend, lifetime.server))
                series.learn(math.log(lifetime.response_ms))
        if evidence is not None:
            self._load(evidence)

    def add(self, poll: Poll) -> None:
        """Add the next poll of a load balancer. Polls of one load balancer come in order."""
        for stratum in poll.strata:
            cells = [cell for cell in stratum.cells if cell.requests]
            ended = self._times(poll.balancer, stratum.backend).add(poll.at, cells)
            for cell in cells:
                key = poll.balancer, stratum.backend, cell.server
                if cell.group != "new":
                    self._watches.pop(key, None)
                    continue
                watch = self._watches.get(key)
                if watch is None:
                    watch = self._watches[key] = self._begin(key, cell.node, poll.at)
                if (window := ended.get(cell.server)) is not None:
                    watch.add(window, self.warm_up_s)
                    self._learned_s = max(self._learned_s, watch.warm_up_s)

    def leave(self, node: str) -> None:
        """Note that a node is worked on from now on: what comes next is another return."""
        self._left.add(node)
        for times in self._strata.values():
            times.leave(node)
        self._watches = {key: watch for key, watch in self._watches.items() if watch.node != node}

    @property
    def warm_up_s(self) -> float:
        """The seconds after a return in which slowness does not count."""
        if self._settings.warm_up is not None:
            return self._settings.warm_up
        return min(max(_SHORTEST_WARM_UP_S, _WARM_UP_MARGIN * self._learned_s), CERTAIN_S)

    @property
    def slowness(self) -> Slowness:
        """What is known now."""
        watches: dict[str, list[LatencyWatch]] = {}
        for watch in self._watches.values():
            watches.setdefault(watch.node, []).append(watch)
        if not watches:
            return Slowness()
        # The average of e-values is one, whatever they have in common; their product is not.
        e_values = {
            node: sum(math.exp(watch.log_e) for watch in own) / len(own) for node, own in watches.items()
        }
        node = max(e_values, key=e_values.__getitem__)
        if e_values[node] < PROOF:
            known = [compared for watch in self._watches.values() for compared in watch.recent]
            return replace(_compare("", known), e_value=e_values[node])
        slow = [watch for watch in watches[node] if math.exp(watch.log_e) >= PROOF / len(watches[node])]
        found = replace(
            _compare(node, [compared for watch in slow for compared in watch.recent]),
            e_value=e_values[node],
            certain=all(watch.is_certain for watch in slow),
        )
        if self._settings.on_slow == "note":
            return found
        fails = found.certain and self._settings.on_slow == "fail"
        return replace(found, state="bad" if fails else "hold", reason=_describe(found, "is slower"))

    def suspicion(self, at: float) -> str:
        """Return why to wait before another node is taken out: one that is back looks slow, so far unproven.

        Empty without such a node, and while a warm-up is expected of it; `at` is now, in monotonic seconds.
        """
        if self._settings.on_slow == "note":
            return ""
        for key, watch in self._watches.items():
            passed_s = at - watch.returned_at
            is_warming_up = passed_s < self.warm_up_s and self.warm_up_s != _SHORTEST_WARM_UP_S
            if is_warming_up or passed_s >= CERTAIN_S:
                continue
            times, server = self._times(*key[:2]), key[2]
            compared = watch.recent[-1] if watch.recent else times.compare_now(server, _EARLY_REQUESTS)
            if compared is not None and (compared.slower or math.exp(watch.log_e) >= PROOF):
                return _describe(_compare(watch.node, [compared]), "looks slower")
        return ""

    # -- state --------------------------------------------------------------------------------

    @property
    def evidence(self) -> Evidence:
        """The state, for the journal; `at` is to be set by who writes it."""
        logs = {_WATCH + "/".join(key): watch.save() for key, watch in self._watches.items()}
        logs |= {_WATCH + "/".join(key): watch.save() for key, watch in self._saved.items()}
        for place, times in self._strata.items():
            logs[_SPREAD + "/".join(place)] = [round(times.squares, 4), times.windows]
            for number, (server, series) in enumerate(times.series.items()):
                is_known = series.reading is not None or number < MAX_OLD_SERVERS
                if series.level is not None and is_known:
                    level = [round(series.level, 4), series.level_windows]
                    logs[_LEVEL + "/".join((*place, server))] = level
        return Evidence(logs=logs, sums={_WARM_UP: round(self._learned_s, 3)})

    def _load(self, evidence: Evidence) -> None:
        learned_s = evidence.sums.get(_WARM_UP, 0.0)
        if not 0 <= learned_s <= _MAX_WARM_UP_S:
            raise ValueError(f"found a warm-up of {learned_s} s")
        self._learned_s = learned_s
        for name, numbers in evidence.logs.items():
            if name.startswith(_SPREAD):
                balancer, backend = name.removeprefix(_SPREAD).rsplit("/", 1)
                times = self._times(balancer, backend)
                times.squares, times.windows = _read(numbers, _MAX_SQUARES)
            elif name.startswith(_LEVEL):
                series = self._series(_read_key(name.removeprefix(_LEVEL)))
                series.level, series.level_windows = _read(numbers, _MAX_LEVEL, least=1)
            elif name.startswith(_WATCH):
                self._saved[_read_key(name.removeprefix(_WATCH))] = LatencyWatch.load(numbers)

    def _begin(self, key: _Key, node: str, at: float) -> LatencyWatch:
        saved = self._saved.pop(key, None)
        return saved.resume(node, at) if saved and node not in self._left else LatencyWatch(node, at)

    def _times(self, balancer: str, backend: str) -> StratumTimes:
        return self._strata.setdefault((balancer, backend), StratumTimes())

    def _series(self, key: _Key) -> Series:
        return self._times(*key[:2]).series.setdefault(key[2], Series())


def _read_key(text: str) -> _Key:
    balancer, backend, server = text.rsplit("/", 2)
    return balancer, backend, server


def _read(numbers: Sequence[float], most: float, least: int = 0) -> tuple[float, int]:
    """Read a value and how many windows it comes from. Raises ValueError when they are out of range."""
    value, windows = numbers
    if not (0 <= value <= most and least <= windows <= _MAX_WINDOWS):
        raise ValueError(f"found {value} from {windows} windows")
    return value, int(windows)


def _compare(node: str, compared: Collection[Comparison]) -> Slowness:
    """Return the means over these windows, weighted by requests."""
    requests = sum(window.requests for window in compared)
    if not requests:
        return Slowness(node=node)
    new_ms = sum(window.mean_ms * window.requests for window in compared) / requests
    other_ms = sum(window.expected_ms * window.requests for window in compared) / requests
    return Slowness(node=node, slower=new_ms / other_ms, response_ms=new_ms, other_response_ms=other_ms)


def _describe(found: Slowness, verb: str) -> str:
    return (
        f"{found.node} {verb}: {found.slower or 0:.1f}× its peers"
        f" ({found.response_ms or 0:.0f} ms where {found.other_response_ms or 0:.0f} ms were expected)"
    )
