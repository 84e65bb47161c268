"""What keeps a single burst of errors from being proof, and finds failure that needs no proof. Pure.

Errors come in bursts: of one client, one kept connection, one stall. So what one server can count within a
second is capped, and errors must be spread over polls and seconds.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import floor

from orchestrator.canary.poll import RETURN_PAUSE_S, Poll
from orchestrator.canary.rows import Row, add_up

_LEAST_CELLS = 3
_LEAST_SECONDS = 2
_SECOND_S = 1.0
_HALF_SECOND_S = 0.5
_BURSTS = 2.0  # of size m, in a second
_EXPECTED = 3.0  # times what is expected, beside bursts

_FAILED_SHARE = 0.5
_FAILED_PER_SECOND = 10.0
_LEAST_FAILED = 3
_OTHERS_SHARE = 0.05
_BLATANT = 6  # polls; those of half a second or more count twice

_MAGNET_S = 30.0  # from its first requests on
_MAGNET_SHARE = 1.5  # of a fair share of all requests
_MAGNET_FAILED_PER_SECOND = 20.0
_MAGNET_BURSTS = 8.0  # of size m
_MAGNET_LEAST_FAILED = 20.0


class Cap:
    """Limits what a server counts within any second: 2m errors, and three times what is expected.

    Only the server that is suspected is capped: that can only make the evidence weaker.
    """

    def __init__(self, *, resumed: bool = False) -> None:
        """Begin without what was counted before.

        Args:
            resumed: what was counted in the second before is not known; then the next one counts nothing.
        """
        self._counted: dict[Hashable, deque[tuple[float, float]]] = {}
        self._resumed = resumed
        self._unknown_until = 0.0  # middle of the poll before the first one

    def begin(self, poll: Poll) -> None:
        """Take note of a poll, before its servers are counted."""
        if self._resumed:
            self._resumed = False
            self._unknown_until = poll.at - 1.5 * poll.duration_s + _SECOND_S

    def count(self, key: Hashable, poll: Poll, errors: float, expected: float, m: float) -> float:
        """Return how many errors of a server count.

        Args:
            key: the server.
            poll: the poll.
            errors: its errors in the poll.
            expected: how many are expected of it in the poll at most.
            m: the size of bursts.
        """
        at, duration_s = poll.at, poll.duration_s
        if not errors or at < self._unknown_until:
            return 0.0
        counted = self._counted.setdefault(key, deque())
        # A poll belongs to the second in which its middle is, so that polls of about a second stand alone.
        while counted and counted[0][0] <= at - _SECOND_S:
            counted.popleft()
        seconds = max(duration_s, _SECOND_S)
        limit = limit_errors(m * seconds, expected * seconds / duration_s)
        taken = min(errors, max(0.0, limit - sum(amount for _, amount in counted)))
        if taken:
            counted.append((at - duration_s / 2, taken))
        return taken


def limit_errors(m: float, expected: float) -> float:
    """Return how many errors of one server count within a second: two bursts, and more than is expected."""
    return _BURSTS * m + _EXPECTED * expected


class Spread:
    """How errors are spread.

    Attributes:
        cells: in how many polls of one server there were errors.
        seconds: in how many different seconds.
        second: the latest of these.
    """

    __slots__ = ("cells", "second", "seconds")

    def __init__(self, cells: float = 0, seconds: float = 0, second: float = -1) -> None:
        self.cells = cells
        self.seconds = seconds
        self.second = second

    def add(self, cells: int, poll: Poll) -> None:
        """Add a poll in which so many servers had errors."""
        if not cells:
            return
        self.cells += cells
        second = find_second(poll.at, poll.duration_s)
        if second != self.second:
            self.second = second
            self.seconds += 1

    @property
    def enough(self) -> bool:
        return self.cells >= _LEAST_CELLS and self.seconds >= _LEAST_SECONDS


def find_second(at: float, duration_s: float) -> int:
    """Return the second to which a poll belongs: that of its middle."""
    return floor(at - duration_s / 2)


class BlatantFailure:
    """Finds a server that fails half of all requests, ten a second or more, while hardly any fail on others.

    Three polls running at one a second, or six that are shorter than half a second. This is a plain rule, no
    e-process; `make bench-canary` counts how often it stops a good version.
    """

    def __init__(self) -> None:
        self._streaks: dict[Hashable, tuple[float, int]] = {}

    def add(self, key: Hashable, poll: Poll, own: tuple[int, int], others: tuple[int, int]) -> bool:
        """Add a server of the new version in a poll, and return whether it fails blatantly.

        Args:
            key: the server.
            poll: the poll.
            own: requests and errors of the server.
            others: requests and errors of the old version.
        """
        at, duration_s = poll.at, poll.duration_s
        (requests, errors), (other_requests, other_errors) = own, others
        least = max(_LEAST_FAILED, _FAILED_PER_SECOND * duration_s)
        failed = errors >= least and errors >= _FAILED_SHARE * requests
        if not (failed and other_requests and other_errors <= _OTHERS_SHARE * other_requests):
            self._streaks.pop(key, None)
            return False
        end, count = self._streaks.get(key, (at - duration_s, 0))
        if at - duration_s - end > _HALF_SECOND_S:
            count = 0  # a poll is missing in between
        count += 2 if duration_s >= _HALF_SECOND_S else 1
        self._streaks[key] = (at, count)
        return count >= _BLATANT


@dataclass(slots=True)
class _Return:
    """What a server got since it is back."""

    began: float
    last: float
    requests: int = 0
    errors: int = 0
    all_requests: int = 0
    other_requests: int = 0
    other_errors: int = 0
    servers: int = 0  # at most at the same time


class Magnet:
    """Finds a server that draws requests because it fails them fast.

    With leastconn, a server that fails at once is always the one with the fewest connections: it got 69 to
    78 % of what four servers got. Until six polls are over, `BlatantFailure` lets hundreds of requests fail.
    This rule holds for the first 30 seconds: the server got more than one and a half times its fair share,
    half of that failed, and so many errors in so short a time are no few bursts. A version that fails less
    often draws less, and is found by the evidence in about a second.
    """

    def __init__(self) -> None:
        self._returns: dict[Hashable, _Return] = {}

    def add(self, key: Hashable, poll: Poll, row: Row, rows: Sequence[Row], m: float) -> bool:
        """Add a server of the new version in a poll, and return whether it draws requests and fails them.

        Args:
            key: the server.
            poll: the poll.
            row: what the server got.
            rows: what all servers got, itself included.
            m: the size of bursts.
        """
        found = self._returns.get(key)
        if found is None or poll.at - poll.duration_s - found.last > RETURN_PAUSE_S:
            found = self._returns[key] = _Return(poll.at - poll.duration_s, poll.at)
        found.last = poll.at
        if poll.at - found.began > _MAGNET_S:
            return False
        old = add_up(other for other in rows if other.group == "old")
        found.requests += row.requests
        found.errors += row.errors
        found.all_requests += sum(other.requests for other in rows)
        found.other_requests += old.requests
        found.other_errors += old.errors
        found.servers = max(found.servers, len(rows))
        return (
            found.requests * found.servers > _MAGNET_SHARE * found.all_requests
            and found.errors >= _FAILED_SHARE * found.requests
            and found.errors >= max(_MAGNET_LEAST_FAILED, _MAGNET_BURSTS * m)
            and found.errors >= _MAGNET_FAILED_PER_SECOND * (poll.at - found.began)
            and found.other_requests > 0
            and found.other_errors <= _OTHERS_SHARE * found.other_requests
        )
