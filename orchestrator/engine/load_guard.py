"""The load of the servers that remain, during a rollout: what it may become, and whether they fall behind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.haproxy.columns import columns_of
from backends.model import ServerRef, Snapshot
from backends.protocols import Clock
from orchestrator.balancers.group import find_servers, make_samples
from orchestrator.balancers.load_history import GroupOf, LoadHistory, count_queues
from orchestrator.balancers.request_errors import Sample, compute_signals
from orchestrator.balancers.traffic_count import TrafficCount
from orchestrator.errors import Overloaded
from orchestrator.planning.application import Policy
from orchestrator.planning.load_forecast import forecast_loads
from orchestrator.planning.load_grade import LoadForecast, settle, worst_grade
from orchestrator.planning.overload import Expectation, OverloadRule, Reading, build_expectations

MIN_INTERVAL_S = 0.9  # between two readings of a load balancer
MAX_AGE_S = 5.0  # of the last reading, for it to say anything about now
SPACING_S = 2.0  # between two drains whose load is unproven


@dataclass(slots=True)
class _Trial:
    """The drain of one node."""

    began: float  # when, in monotonic seconds
    forecasts: tuple[LoadForecast, ...]


class LoadGuard:
    """Forecasts the load before a drain, and judges the load afterwards; without a clock it does nothing.

    It is shown every snapshot that is read during a rollout, and reads nothing itself.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        policy: Policy | None = None,
        instances: Collection[str] = (),
        group_of: GroupOf = lambda ref: "",
    ) -> None:
        """Create a guard for one rollout.

        Args:
            clock: the time; None where nothing is to be judged.
            policy: has the trial.
            instances: all load balancers.
            group_of: see `LoadHistory`.
        """
        self._clock = clock
        self._policy = policy or Policy()
        self._instances = frozenset(instances)
        self._history = LoadHistory(group_of)
        self._traffic = TrafficCount()  # since the rollout began
        self._traffic_since = TrafficCount()  # since the last drain
        self._noted: dict[str, float] = {}
        self._readings: dict[str, Snapshot] = {}  # since the rules were applied last
        self._rules: dict[str, OverloadRule] = {}  # by backend, while a node is out
        self._out: dict[str, _Trial] = {}  # nodes, until their rollout ends
        self._leaving: dict[str, frozenset[ServerRef]] = {}  # the servers of these nodes
        self._before: dict[ServerRef, Sample] = {}  # their counters at the last drain
        self._description = ""
        self._last_unproven = ("", -SPACING_S)
        self.overload = ""  # why the servers that remain cannot carry the load; empty while they can

    # -- what is read ---------------------------------------------------------------------------

    def note(self, snapshot: Snapshot) -> None:
        """Take note of a snapshot of a load balancer, about once a second."""
        if self._clock is None:
            return
        now, instance = self._clock.monotonic(), snapshot.info.instance
        if now - self._noted.get(instance, -MIN_INTERVAL_S) < MIN_INTERVAL_S:
            return
        self._noted[instance] = now
        self._history.add(snapshot, now)
        self._traffic.add(snapshot)
        if self._rules:
            self._traffic_since.add(snapshot)
            self._readings[instance] = snapshot
            if self._readings.keys() >= self._instances:
                self._apply_rules()

    def _apply_rules(self) -> None:
        requests, errors = self._count_errors() if any(map(self._is_on_trial, self._out)) else (0, 0)
        reasons, descriptions = [], []
        for backend, rule in self._rules.items():
            queues = [count_queues(snapshot) for snapshot in self._readings.values()]
            reading = Reading(
                _count_sessions(self._readings.values(), backend),
                sum(queue.get(backend, 0) for queue in queues),
                requests,
                errors,
            )
            reasons.append(rule.add(reading))
            descriptions.append(rule.describe(reading))
        self._readings = {}
        self._description = "; ".join(descriptions)
        self.overload = next(filter(None, reasons), "")

    # -- before a drain -------------------------------------------------------------------------

    def forecast(
        self, snapshots: Mapping[str, Snapshot], leaving: Collection[ServerRef], *, have_left: bool = False
    ) -> tuple[LoadForecast, ...]:
        """Return what the others would carry, see `forecast_loads`; nothing where nothing is to be judged."""
        if self._clock is None:
            return ()
        found = map(settle, forecast_loads(snapshots, leaving, self._history, have_left=have_left))
        if not have_left:
            return tuple(found)
        # They carry it already: what follows is a trial of that.
        return tuple(
            replace(forecast, grade="unproven") if forecast.is_refused else forecast for forecast in found
        )

    def find_refusal(self, forecasts: Sequence[LoadForecast]) -> str:
        """Return why no node may be drained now; empty where one may."""
        if self._policy.on_overload == "warn":
            return ""
        if self.overload:
            return self.overload
        return next((f"too much load: {forecast}" for forecast in forecasts if forecast.is_refused), "")

    def spacing_left_s(self, node: str) -> float:
        """Return for how long a node is not to be drained, because the drain of another is on trial."""
        if self._clock is None or not self._policy.trial:
            return 0.0
        other, at = self._last_unproven
        return 0.0 if other in ("", node) else max(0.0, at + SPACING_S - self._clock.monotonic())

    def trial_left_s(self) -> float:
        """Return for how long the drain that began last is still on trial."""
        other, at = self._last_unproven
        if self._clock is None or other not in self._out:
            return 0.0
        return max(0.0, at + self._policy.trial - self._clock.monotonic())

    # -- after it -------------------------------------------------------------------------------

    def begin(
        self,
        node: str,
        leaving: Collection[ServerRef],
        forecasts: tuple[LoadForecast, ...],
        snapshots: Mapping[str, Snapshot],
    ) -> None:
        """Watch from now on whether the others carry what was forecast for the drain of this node.

        Args:
            node: is about to be drained.
            leaving: its servers, with their followers.
            forecasts: what the others will carry.
            snapshots: what was read last.
        """
        if self._clock is None:
            return
        now = self._clock.monotonic()
        self._out[node], self._leaving[node] = _Trial(now, forecasts), frozenset(leaving)
        if self._is_on_trial(node):
            self._last_unproven = node, now
        expectations = build_expectations(forecasts, self._error_share(snapshots))
        self._expect(expectations, snapshots)

    def _expect(self, expectations: Mapping[str, Expectation], snapshots: Mapping[str, Snapshot]) -> None:
        if not expectations:
            return
        self._rules = {backend: OverloadRule(expected) for backend, expected in expectations.items()}
        self._readings, self._description, self.overload = {}, "", ""
        self._traffic_since = TrafficCount(set(expectations))
        for snapshot in snapshots.values():
            self._traffic_since.add(snapshot)
        self._before = self._read_samples(snapshots.values())

    def _read_samples(self, snapshots: Collection[Snapshot]) -> dict[ServerRef, Sample]:
        """Return the counters of the servers that have left."""
        refs = frozenset[ServerRef]().union(*self._leaving.values())
        return make_samples(find_servers(refs, snapshots), snapshots)

    def _count_errors(self) -> tuple[int, int]:
        """Return requests and errors since the last drain, without the errors of what has left."""
        totals = self._traffic_since.totals()
        now = self._read_samples(self._readings.values())
        found = (compute_signals(self._before[ref], now[ref]) for ref in self._before.keys() & now.keys())
        own = sum(signals.known for signals in found if signals is not None)
        return totals.requests, max(0, totals.errors + totals.unattributed - own)

    def _error_share(self, snapshots: Mapping[str, Snapshot]) -> float:
        """Return the share of errors that is usual: since HAProxy began to count, or in this rollout."""
        totals = self._traffic.totals()
        rows = [backend.counters for snapshot in snapshots.values() for backend in snapshot.backends]
        requests = sum(row.total for row in rows)
        usual = sum(row.answered_5xx for row in rows) / requests if requests else 0.0
        errors = totals.errors + totals.unattributed
        return max(usual, errors / totals.requests if totals.requests else 0.0)

    def release(self, node: str) -> None:
        """Note that the rollout of a node has ended, or that it was put back."""
        self._out.pop(node, None)
        self._leaving.pop(node, None)
        if not self._out:
            self._rules, self._readings, self._description, self.overload = {}, {}, "", ""

    def _is_on_trial(self, node: str) -> bool:
        trial = self._out.get(node)
        return bool(self._policy.trial) and trial is not None and worst_grade(trial.forecasts) != "proven"

    def trial_text(self, node: str) -> str:
        """Return what is on trial with the drain of this node; empty where nothing is."""
        if not self._is_on_trial(node):
            return ""
        return "; ".join(str(found) for found in self._out[node].forecasts if found.grade != "proven")

    def raise_if_overloaded(self, node: str) -> None:
        """Raise Overloaded if a node that was drained and not stopped is to go back."""
        trial = self._out.get(node)
        if self.overload and self._policy.trial and trial is not None and trial.forecasts:
            raise Overloaded(self.overload)

    def describe(self) -> str:
        """Describe the load now, beside what was expected; empty as long as nothing was read."""
        return self._description

    @property
    def is_current(self) -> bool:
        """Whether all load balancers were read in the last seconds."""
        if self._clock is None:
            return True
        now = self._clock.monotonic()
        return all(now - self._noted.get(name, -MAX_AGE_S) < MAX_AGE_S for name in self._instances)


def _count_sessions(snapshots: Collection[Snapshot], backend: str) -> int:
    """Count the sessions in flight on the servers of a backend that take traffic; few servers are built."""
    count = 0
    for snapshot in snapshots:
        columns = columns_of(snapshot.servers)
        heads = {first: snapshot.servers[first] for first in set(columns.alike)}
        taking = {first for first, server in heads.items() if server.receives_traffic and not server.backup}
        alike = zip(columns.names, columns.alike, columns.sessions, strict=True)
        count += sum(sessions for name, first, sessions in alike if name[0] == backend and first in taking)
    return count
