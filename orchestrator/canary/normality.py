"""Whether each version fails more than was normal before the rollout. Pure."""

from collections import deque
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from math import log

from orchestrator.canary.bursts import Spread, find_second
from orchestrator.canary.evidence import EProcess
from orchestrator.canary.poll import Poll
from orchestrator.canary.rows import Side

NORMAL_RATIO = 5.0
"""So many times the error rate of before is still normal."""

LEAST_RATE = 1e-5
"""No error rate is taken to be lower: nothing that HAProxy counted can show that."""

_WINDOW_S = 60.0
_LEAST_ERRORS = 5
_INCIDENT = log(1000)
_AS_ALWAYS = log(10)


@dataclass(slots=True)
class _Second:
    """What both versions got in a second."""

    number: int
    begin: float
    end: float
    requests: int = 0
    errors: int = 0
    other_requests: int = 0
    other_errors: int = 0
    expected: float = 0.0
    cells: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """What both versions got in the last minute.

    Attributes:
        duration_s: how much of a minute is known.
        requests: requests to the new version.
        errors: those that failed.
        other_requests: requests to the old version.
        other_errors: those that failed.
        expected: how many of the old version's requests would have failed if all were normal.
        spread: whether errors of the old version are spread over polls and seconds.
    """

    duration_s: float = 0.0
    requests: int = 0
    errors: int = 0
    other_requests: int = 0
    other_errors: int = 0
    expected: float = 0.0
    spread: bool = False

    @property
    def new_is_spared(self) -> bool:
        """Whether the new version fails far less than the old one: then it may be what helps."""
        share = self.requests * self.other_errors / self.other_requests if self.other_requests else 0.0
        return share >= _LEAST_ERRORS and self.errors <= share / 2


class Normality:
    """Compares both versions with the error rates of before.

    Attributes:
        new: the evidence that the new version fails more than was normal.
        others: likewise of the old version, of late: what spoke against it earlier is forgotten.
    """

    def __init__(self, logs: Mapping[str, list[float]]) -> None:
        self.new = EProcess(logs.get("history", ()))
        self.others = EProcess(logs.get("others", ()))
        self._seconds = deque[_Second]()

    def save(self, logs: MutableMapping[str, list[float]]) -> None:
        logs["history"] = list(self.new.logs)
        logs["others"] = list(self.others.logs)

    def add(self, poll: Poll, sides: tuple[Side, Side], base: float, m: float, *, is_known: bool) -> None:
        """Add one backend in one poll.

        Args:
            poll: the poll.
            sides: the new version and the old one.
            base: the error rate of before.
            m: the size of bursts.
            is_known: whether that rate is known; otherwise it is only an upper limit of it.
        """
        new, old = sides
        second = self._find_second(poll)
        second.requests += new.requests
        second.errors += new.errors
        second.other_requests += old.requests
        second.other_errors += old.errors
        second.cells += old.cells
        rate = max(base, LEAST_RATE)
        second.expected += rate * old.weight if is_known else 0.0
        if new.requests:
            self.new.expect(new.counted, NORMAL_RATIO * rate * new.weight, m)
        if old.requests:
            self.others.expect(old.counted, NORMAL_RATIO * rate * old.weight, m)
            self.others.logs = [max(0.0, value) for value in self.others.logs]

    def _find_second(self, poll: Poll) -> _Second:
        """Return the second that a poll is added to; those of more than a minute ago are dropped."""
        number = find_second(poll.at, poll.duration_s)
        seconds = self._seconds
        if not seconds or number > seconds[-1].number:
            seconds.append(_Second(number, poll.at - poll.duration_s, poll.at))
            while seconds[0].end <= poll.at - _WINDOW_S:
                seconds.popleft()
        seconds[-1].end = max(seconds[-1].end, poll.at)
        return seconds[-1]

    @property
    def others_as_always(self) -> bool:
        """Whether nothing says that the old version fails more than it used to."""
        return self.others.log_value < _AS_ALWAYS

    @property
    def incident(self) -> bool:
        """Whether the old version fails more than it used to, still does, and the new one is not spared."""
        if self.others.log_value < _INCIDENT:
            return False
        minute = self.minute
        far_more = minute.other_errors > NORMAL_RATIO * minute.expected > 0
        failing = far_more and minute.other_errors >= _LEAST_ERRORS and minute.spread
        return failing and not minute.new_is_spared

    @property
    def minute(self) -> Minute:
        """What both versions got in the last minute."""
        seconds = self._seconds
        if not seconds:
            return Minute()
        with_errors = sum(second.cells > 0 for second in seconds)
        return Minute(
            duration_s=seconds[-1].end - seconds[0].begin,
            requests=sum(second.requests for second in seconds),
            errors=sum(second.errors for second in seconds),
            other_requests=sum(second.other_requests for second in seconds),
            other_errors=sum(second.other_errors for second in seconds),
            expected=sum(second.expected for second in seconds),
            spread=Spread(sum(second.cells for second in seconds), with_errors).enough,
        )
