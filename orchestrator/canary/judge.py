"""The judge of a new version: it is fed with polls, and says at any time what they mean. Pure."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from orchestrator.canary.account import Account
from orchestrator.canary.bursts import BlatantFailure, Cap, Magnet
from orchestrator.canary.detectability import Rates, detect_ratios
from orchestrator.canary.history import UNLEARNED_M, Dispersion, OwnRates, Place, choose_m, estimate_rate
from orchestrator.canary.judgement import Judgement, Slowness
from orchestrator.canary.poll import Cell, Lifetime, Poll
from orchestrator.canary.rows import Row, add_up_groups
from orchestrator.canary.settings import CanarySettings
from orchestrator.canary.unanswered import Hanging, Unanswered
from orchestrator.canary.verdict import describe_failure, find_bad_node, judge_account
from orchestrator.events.judgement import DetectableRatio, Evidence

NULL_RATIO = 1.25
"""A new version with so many times the old one's error rate is as good: own rates are only estimates."""

NULL_RATIO_UNKNOWN = 1.5
"""Likewise when counters are too young to know own rates."""

_LEAST_SIGNAL_M = 5.0  # how retries and failed checks come in bursts is not learned
_FADING = 0.75  # per poll, of what servers got in polls before
_CAP_REQUESTS = 500  # so many without an error are added to a rate that is only used to cap


class Judge:
    """Judges a new version by what load balancers count. One for each application and rollout.

    It has no clock and does no I/O: polls say when they were made.
    """

    def __init__(
        self,
        settings: CanarySettings,
        lifetimes: Iterable[Lifetime],
        *,
        version: str = "the new version",
        sticky: bool = False,
        calibrated_m: float | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """Begin without evidence, or continue.

        Args:
            settings: thresholds.
            lifetimes: what the servers did before the rollout; those that are in `evidence` come first.
            version: how the new version is called in reasons.
            sticky: clients are tied to servers, so that errors come in larger bursts.
            calibrated_m: how strongly errors come in bursts, as `rolldeck calibrate` has learned it.
            evidence: the state of a judge before, which this one continues.
        """
        state = evidence or Evidence()
        self._settings = settings
        self._version = version
        self._sticky = sticky
        self._calibrated_m = calibrated_m
        self._at = state.at
        self._rates = OwnRates(lifetimes, state.sums)
        self._dispersion = Dispersion(state.sums.get("chi", 0.0), state.sums.get("df", 0.0))
        self._account = Account(state.logs, state.sums)
        self._account.normal_rate = self._rates.typical_base
        self._cap = Cap(resumed=evidence is not None)
        self._blatant = BlatantFailure()
        self._magnet = Magnet()
        self._unanswered = Unanswered(settings.warm_up or 0.0)
        self._evidence = 0.0  # at that moment, with requests that hung
        self._failure = ""  # why the verdict is "bad", with the counts of that moment

    def add(self, poll: Poll) -> None:
        """Add the next poll of a load balancer. Polls of one load balancer come in order."""
        self._cap.begin(poll)
        account = self._account
        account.forget_hanging(poll)
        blatant, suspicious = "", False
        for stratum in poll.strata:
            place = (poll.balancer, stratum.backend)
            self._unanswered.add(place, poll, stratum.cells)
            cells = [cell for cell in stratum.cells if cell.requests > 0]
            self._learn_m(place, poll, cells)
            self._add_signals(place, poll, cells)
            rows = self._weigh(place, poll, cells)
            if rows:
                self._add_errors(place, poll, rows)
                account.hanging[place] = self._count_hanging(place, poll, rows)
                blatant = self._find_blatant(place, poll, rows) or blatant
                suspicious |= any(row.errors and row.group == "new" for row in rows)
        if suspicious:
            node = blatant or find_bad_node(account, self._settings)
            if node and node not in account.bad_nodes:
                account.bad_nodes.append(node)
                self._failure = describe_failure(account, self._settings, self._version)
                self._evidence = account.hanging_evidence.value

    def judge(self, at: float, *, slowness: Slowness | None = None, stale: Sequence[str] = ()) -> Judgement:
        """Return what the polls until now mean. A verdict of "bad" because of errors is final.

        Its node may be another one later, when several run the new version.

        Args:
            at: now, in the same monotonic seconds as polls.
            slowness: what is known about response times.
            stale: load balancers of which nothing is known now.
        """
        account = self._account
        waiting, slowness = self._unanswered.waiting(at), slowness or Slowness()
        found = judge_account(account, self._settings, self._version, slowness, stale, waiting=waiting)
        if account.bad_nodes:
            reason = self._failure or describe_failure(account, self._settings, self._version)
            evidence = max(found.evidence, self._evidence)
            found = replace(found, state="bad", reason=reason, node=account.bad_nodes[-1], evidence=evidence)
        return replace(found, detectable=self._detect())

    def suspicion(self, at: float) -> str:
        """Return why to wait before another node is taken out: requests that have no answer; often empty.

        Args:
            at: now, in the monotonic seconds of polls.
        """
        return self._unanswered.suspicion(at)

    @property
    def is_bad(self) -> bool:
        """Whether errors have proven that the new version is worse."""
        return bool(self._account.bad_nodes)

    @property
    def m(self) -> float:
        """The size of bursts of errors that is reckoned with."""
        if self._account.m is not None:
            return self._account.m
        return choose_m(self._settings.m, self._calibrated_m, self._dispersion, sticky=self._sticky)

    @property
    def evidence(self) -> Evidence:
        """The state, for the journal; `at` is to be set by who writes it."""
        logs: dict[str, list[float]] = {}
        sums = self._rates.save() | {"chi": self._dispersion.chi, "df": self._dispersion.df}
        self._account.save(logs, sums)
        return Evidence(logs=logs, sums=sums, at=self._at)

    def _learn_m(self, place: Place, poll: Poll, cells: Sequence[Cell]) -> None:
        """Learn the size of bursts until the first server of the new version gets requests."""
        if self._account.m is not None:
            return
        if any(cell.group == "new" for cell in cells):
            self._account.m = self.m
            return
        servers = {
            cell.server: (cell.errors, self._weight(place, cell)) for cell in cells if cell.errors is not None
        }
        self._dispersion.add(place, poll.duration_s, servers)

    def _weight(self, place: Place, cell: Cell) -> float:
        """Return the requests of a server, times its own error rate as a multiple of its backend's."""
        return cell.requests * self._rates.relative(place, cell.server, self._account.m or UNLEARNED_M)

    def _null_ratio(self, place: Place) -> float:
        return NULL_RATIO if self._rates.is_long(place) else NULL_RATIO_UNKNOWN

    def _limit_rate(self, place: Place) -> float:
        """Return the error rate that is expected of a version as good as the old one, at most."""
        account = self._account
        rate = (account.old_errors + 0.5) / (account.old_requests + _CAP_REQUESTS)
        if self._rates.is_long(place):
            rate = max(rate, self._rates.base(place))
        return rate * self._null_ratio(place)

    def _weigh(self, place: Place, poll: Poll, cells: Sequence[Cell]) -> list[Row]:
        """Return the servers whose errors are known, with what counts as evidence."""
        account, m, rate = self._account, self.m, self._limit_rate(place)
        rows = []
        for cell in cells:
            if cell.errors is None:
                account.unknown_requests += cell.requests if cell.group == "new" else 0
                continue
            weight = self._weight(place, cell)
            counted = self._cap.count((place, cell.server), poll, cell.errors, rate * weight, m)
            rows.append(Row(cell.node, cell.server, cell.group, cell.requests, cell.errors, weight, counted))
        return rows

    def _add_errors(self, place: Place, poll: Poll, rows: Sequence[Row]) -> None:
        account, m, null_ratio = self._account, self.m, self._null_ratio(place)
        is_known = self._rates.is_long(place)
        base = self._rates.base(place) if is_known else self._rates.upper_base(place)
        new, old = add_up_groups(rows)
        account.errors += new.errors
        account.requests += new.requests
        account.old_errors += old.errors
        account.old_requests += old.requests
        if old.requests and new.requests:
            account.add_time(poll)
        if old.requests or is_known:
            account.judged_requests += new.requests
        account.spread.add(new.cells, poll)
        account.hard.add(new, old, poll, null_ratio, m)
        account.nodes.add(rows, poll, null_ratio, m)
        account.normality.add(poll, (new, old), base, m, is_known=is_known)
        if not is_known:
            self._rates.watch(place, old.errors, old.requests)

    def _count_hanging(self, place: Place, poll: Poll, rows: Sequence[Row]) -> Hanging:
        """Return what counts of the requests to the new version that hang."""
        rate, m = self._limit_rate(place), self.m
        if not any(row.group == "new" for row in rows):
            return Hanging()
        before = self._account.hanging.get(place, Hanging()).weights
        found = [
            self._unanswered.count(place, row.server, poll, row.counted, (rate * row.weight, m))
            for row in rows
            if row.group == "new"
        ]
        new, old = add_up_groups(rows)
        return Hanging(
            sum(hanging.requests for hanging in found),
            sum(hanging.counted for hanging in found),
            any(hanging.spread for hanging in found),
            (_FADING * before[0] + new.weight, _FADING * before[1] + old.weight),
            self._null_ratio(place),
            poll.at,
        )

    def _find_blatant(self, place: Place, poll: Poll, rows: Sequence[Row]) -> str:
        """Return a node that fails blatantly, or draws requests by failing; empty if there is none."""
        _, old = add_up_groups(rows)
        found = ""
        for row in rows:
            own, others = (row.requests, row.errors), (old.requests, old.errors)
            if row.group != "new":
                continue
            key = (place, row.server)
            draws = self._magnet.add(key, poll, row, rows, self.m)
            if self._blatant.add(key, poll, own, others) or draws:
                found = row.node
        return found

    def _add_signals(self, place: Place, poll: Poll, cells: Sequence[Cell]) -> None:
        """Add what no client noticed: retries and redispatches, and failed checks."""
        m = max(self.m, _LEAST_SIGNAL_M)
        soft, checks = [], []
        for cell in cells:
            # What is normal is not known, so the cap has only room for bursts.
            counted = self._cap.count(("soft", place, cell.server), poll, cell.soft, 0.0, m)
            soft.append(
                Row(cell.node, cell.server, cell.group, cell.requests, cell.soft, cell.requests, counted)
            )
            failures = cell.check_failures
            counted = self._cap.count(("checks", place, cell.server), poll, failures, 0.0, m)
            checks.append(Row(cell.node, cell.server, cell.group, 1, failures, 1, counted))
        self._account.soft.add(*add_up_groups(soft), poll, NULL_RATIO_UNKNOWN, m)
        self._account.checks.add(*add_up_groups(checks), poll, NULL_RATIO_UNKNOWN, m)

    def _detect(self) -> list[DetectableRatio]:
        """Return how soon ratios of error rates are found, at the request rates of the last minute."""
        minute, account = self._account.normality.minute, self._account
        if not minute.duration_s:
            return []
        base = self._rates.typical_base
        rates = Rates(
            new=minute.requests / minute.duration_s,
            old=minute.other_requests / minute.duration_s,
            base=estimate_rate(account.old_errors, account.old_requests) if base is None else base,
            m=self.m,
            null_ratio=NULL_RATIO_UNKNOWN if base is None else NULL_RATIO,
            alpha=self._settings.alpha,
        )
        return detect_ratios(rates)
