"""Requests of the new version that hang: time-outs before they are counted. Pure.

A request that never gets an answer is an error only after `timeout server`, often 30 s later. By itself one
that hangs proves nothing: a node that has just started answers late. But once requests have timed out, those
that hang are likely to. They count then as if they had failed when they began, under the same limit for each
second, and only at the moment of judging: what is answered late leaves no trace.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from orchestrator.canary.bursts import Cap, Spread, find_second
from orchestrator.canary.history import Place
from orchestrator.canary.in_flight import Excess, Flow, Usual, find_excess
from orchestrator.canary.poll import RETURN_PAUSE_S, Cell, Poll

_SECOND_S = 1.0  # of whose requests most must be answered: otherwise the whole server stalls

_LEAST_TIMED_OUT = 3
_LEAST_POLLS = 2
_TIMED_OUT_S = 10.0  # for so long a time-out tells of those that hang

_LEAST_WAITING = 10  # requests; so many that wait are worth to be held for
WAITING_S = 3.0
"""For so long they wait at least."""
_SUSPICIOUS = 5.0  # requests that hang
_LIKELY, _CERTAIN = 1.0, 4.0  # standard deviations beyond which requests hang
_BEGUN_S = 60
_MOST_OLD = 20  # servers of the old version that show what is usual
FRESH_S = 2.5
"""Seconds for which a poll tells what hangs now."""


class Hanging(NamedTuple):
    """What counts of requests to the new version that hang, at the moment of judging.

    Attributes:
        requests: how many hang.
        counted: so many of them count like errors.
        spread: whether they, and those that failed, began in several polls and seconds.
        weights: what the new version and the old one got, in requests times own error rates.
        null_ratio: the largest ratio of error rates that is still as good.
        at: when it was read.
    """

    requests: float = 0.0
    counted: float = 0.0
    spread: bool = False
    weights: tuple[float, float] = (0.0, 0.0)
    null_ratio: float = 1.0
    at: float = 0.0


class Waiting(NamedTuple):
    """Requests that have been waiting for an answer for `WAITING_S`.

    Attributes:
        node: the node that has them.
        requests: how many.
        others: how many each server of the old version has in flight.
    """

    node: str
    requests: int
    others: float


class _Begun(NamedTuple):
    """Requests that began in one poll and failed, or hang."""

    second: int
    requests: float
    counted: float


@dataclass(slots=True)
class _Server:
    """One server in one group.

    Attributes:
        cell: the latest.
        began: when it began to get requests.
        flow: of its requests.
        excess: what it has in flight now.
        hanging: when it was read, how many hung for certain, and how many had timed out so far.
        timed_out: in which polls requests timed out, and how many.
        begun: requests that failed or hang, of the last minute, by when they began.
        level: how many failed or hang.
        errors: how many of them have failed.
        ahead: how many more count than would if only those counted that have failed.
        others: how many requests each server of the old version has in flight.
    """

    cell: Cell
    began: float
    flow: Flow
    excess: Excess = field(default_factory=Excess)
    hanging: deque[tuple[float, float, int]] = field(default_factory=deque)
    timed_out: deque[tuple[float, int]] = field(default_factory=deque)
    begun: deque[_Begun] = field(default_factory=deque)
    level: float = 0.0
    errors: int = 0
    ahead: float = 0.0
    others: float = 0.0

    @property
    def hangs(self) -> float:
        """How many requests hang, as far as one can tell."""
        return self.excess.beyond(_LIKELY)

    @property
    def has_timed_out(self) -> bool:
        """Whether requests time out now."""
        enough = sum(broken for _, broken in self.timed_out) >= _LEAST_TIMED_OUT
        return enough and len(self.timed_out) >= _LEAST_POLLS

    def note(self, at: float, excess: Excess, others: float) -> None:
        """Note what is in flight, and what the others have in flight."""
        self.excess, self.others = excess, others
        broken = self.cell.broken
        total = (self.hanging[-1][2] if self.hanging else 0) + broken
        self.hanging.append((at, excess.beyond(_CERTAIN), total))
        while len(self.hanging) > 1 and self.hanging[1][0] <= at - WAITING_S:
            self.hanging.popleft()
        if broken:
            self.timed_out.append((at, broken))
        while self.timed_out and self.timed_out[0][0] <= at - _TIMED_OUT_S:
            self.timed_out.popleft()

    def begin(self, begun: _Begun) -> None:
        """Add requests that hang or failed at once."""
        self.begun.append(begun)
        self.ahead += begun.counted
        while self.begun[0].second <= begun.second - _BEGUN_S:
            self.begun.popleft()

    def take_back(self, requests: float) -> None:
        """Take back what was answered after all, the latest ones first."""
        while requests > 0 and self.begun:
            last = self.begun.pop()
            left = max(0.0, last.requests - requests)
            counted = min(last.counted, left)
            if left:
                self.begun.append(_Begun(last.second, left, counted))
            self.ahead -= last.counted - counted
            requests -= last.requests

    @property
    def waiting(self) -> int:
        """How many requests have been waiting for `WAITING_S` at least."""
        first, last = self.hanging[0], self.hanging[-1]
        if last[0] - first[0] < WAITING_S:
            return 0
        return max(0, int(min(found for _, found, _ in self.hanging)) - (last[2] - first[2]))


class Unanswered:
    """Finds requests of the new version that hang."""

    def __init__(self, warm_up_s: float) -> None:
        """Begin without a server.

        Args:
            warm_up_s: for so long after its return a node may be slow, and nothing is said of it.
        """
        self._warm_up_s = warm_up_s
        self._servers: dict[tuple[Place, str], _Server] = {}
        self._cap = Cap()

    def add(self, place: Place, poll: Poll, cells: Sequence[Cell]) -> None:
        """Add one backend in one poll; without a new server there is nothing to find."""
        known = [cell for cell in cells if cell.errors is not None]
        new = [self._read(place, poll, cell) for cell in known if cell.group == "new"]
        if not new:
            return
        old = islice((cell for cell in known if cell.group == "old"), _MOST_OLD)
        usual = Usual.of([self._read(place, poll, cell).flow for cell in old])
        for server in new:
            server.note(poll.at, find_excess(server.flow, usual), 0.0 if usual is None else usual.mean)

    def _read(self, place: Place, poll: Poll, cell: Cell) -> _Server:
        key = (place, cell.server)
        server = self._servers.get(key)
        began = poll.at - poll.duration_s
        if server is None or server.cell[:3] != cell[:3] or began - server.flow.last.at > RETURN_PAUSE_S:
            server = self._servers[key] = _Server(cell, began, Flow(poll, cell))
            return server
        server.cell = cell
        server.flow.add(poll, cell)
        return server

    def count(
        self, place: Place, name: str, poll: Poll, counted: float, limits: tuple[float, float]
    ) -> Hanging:
        """Return what counts of the requests that hang on a server of the new version.

        Args:
            place: its backend.
            name: its name.
            poll: the poll.
            counted: its errors that count in this poll.
            limits: how many errors are expected of it in the poll at most, and the size of bursts.
        """
        server = self._servers[place, name]
        server.errors += server.cell.errors or 0
        level = server.errors + server.hangs
        grown, server.level = level - server.level, level
        if grown > 0:
            taken = self._cap.count((place, name), poll, grown, *limits)
            server.begin(_Begun(find_second(poll.at, poll.duration_s), grown, taken))
        else:
            server.take_back(-grown)
        server.ahead -= counted
        if not server.hangs:
            server.ahead = 0.0
        if not (server.has_timed_out and server.flow.answers_most(_SECOND_S)):
            return Hanging()
        seconds = {begun.second for begun in server.begun}
        spread = Spread(len(server.begun), len(seconds))
        return Hanging(server.hangs, max(0.0, min(server.hangs, server.ahead)), spread.enough)

    def waiting(self, at: float) -> Waiting | None:
        """Return the node with the most requests that wait, if there are enough.

        Args:
            at: now, in the monotonic seconds of polls.
        """
        found = [Waiting(server.cell.node, server.waiting, server.others) for server in self._warm(at)]
        most = max(found, key=lambda waiting: waiting.requests, default=None)
        return most if most is not None and most.requests >= _LEAST_WAITING else None

    def suspicion(self, at: float) -> str:
        """Return why to wait before another node is taken out: requests hang; often empty.

        Args:
            at: now, in the monotonic seconds of polls.
        """
        for server in self._warm(at):
            hangs = server.excess.beyond(_CERTAIN)
            if hangs >= _SUSPICIOUS:
                return f"{hangs:.0f} requests to {server.cell.node} have no answer yet"
        return ""

    def _warm(self, at: float) -> Iterator[_Server]:
        """Yield the servers of the new version whose requests are known now."""
        for server in self._servers.values():
            is_fresh = at - server.flow.last.at <= FRESH_S
            if server.cell.group == "new" and is_fresh and at - server.began >= self._warm_up_s:
                yield server
