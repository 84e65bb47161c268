"""What keeps a single burst of errors from being proof, and finds failure that needs no proof. Pure.

Errors come in bursts: of one client, one kept connection, one stall. So what one server can count within a
second is capped, and errors must be spread over polls and seconds.
"""

from collections import deque
from collections.abc import Hashable
from math import floor

from orchestrator.canary.poll import Poll

LEAST_CELLS = 3
LEAST_SECONDS = 2
_SECOND_S = 1.0
_HALF_SECOND_S = 0.5
_BURSTS = 2.0  # of size m, in a second
_EXPECTED = 3.0  # times what is expected, beside bursts

_FAILED_SHARE = 0.5
_FAILED_PER_SECOND = 10.0
_LEAST_FAILED = 3
_OTHERS_SHARE = 0.05
_BLATANT = 6  # polls; those of half a second or more count twice


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
        limit = _BURSTS * m * seconds + _EXPECTED * expected * seconds / duration_s
        taken = min(errors, max(0.0, limit - sum(amount for _, amount in counted)))
        if taken:
            counted.append((at - duration_s / 2, taken))
        return taken


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
        return self.cells >= LEAST_CELLS and self.seconds >= LEAST_SECONDS


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
