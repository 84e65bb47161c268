"""The evidence on the response times of one new server: signs of its windows, and bets on them. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orchestrator.canary.latency_windows import Comparison, EndedWindow

PROOF = 1000.0
"""The e-value at which a new version counts as slower."""
CERTAIN_S = 300.0
"""Seconds after a return, until which a server may be warming up."""

_SIGN_FACTOR, _NO_SIGN_FACTOR = 0.85 / 0.25, 0.15 / 0.75
_LEAST, _MOST = 0.04, 1e4  # of an e-value, so that a later change shows soon
_RECENT = 3  # windows


@dataclass(slots=True)
class LatencyWatch:
    """What is known about one new server. Seconds count from its return.

    Attributes:
        node: the node behind it.
        returned_at: when it returned, in monotonic seconds.
        log_e: natural logarithm of its e-value.
        lasted_s: the end of the last window.
        slow_until_s: the end of the last window with a sign, while it has been slow from the first one on.
        warm_up_s: how long a warm-up took that is over; 0 when there was none.
        recent: the last few windows.
    """

    node: str
    returned_at: float
    log_e: float = 0.0
    lasted_s: float = 0.0
    slow_until_s: float = 0.0
    warm_up_s: float = 0.0
    recent: list[Comparison] = field(default_factory=list)

    def add(self, window: EndedWindow, warm_up_s: float) -> None:
        """Add a window; it is no evidence when it began in the first `warm_up_s` seconds."""
        is_first = not self.recent
        is_slow = window.compared.slower
        self.recent = [*self.recent[1 - _RECENT :], window.compared]
        self.lasted_s = window.at - self.returned_at
        if is_slow and (is_first or self.slow_until_s):
            self.slow_until_s = self.lasted_s
        elif self.slow_until_s and not any(compared.slower for compared in self.recent):
            self.warm_up_s, self.slow_until_s = self.slow_until_s, 0.0
        if window.began_at - self.returned_at >= warm_up_s:
            self.log_e += math.log(_SIGN_FACTOR if is_slow else _NO_SIGN_FACTOR)
            self.log_e = min(max(self.log_e, math.log(_LEAST)), math.log(_MOST))

    @property
    def is_certain(self) -> bool:
        """Whether it is still slow when any warm-up is over."""
        signs = [compared.slower for compared in self.recent]
        return self.lasted_s >= CERTAIN_S and len(signs) == _RECENT and all(signs)

    def save(self) -> list[float]:
        """Return its state as numbers."""
        numbers = [self.log_e, self.lasted_s, self.slow_until_s, self.warm_up_s]
        numbers += [float(value) for compared in self.recent for value in compared]
        return [round(number, 4) for number in numbers]

    def resume(self, node: str, at: float) -> "LatencyWatch":
        """Return it as it goes on at this monotonic second, for a server of this node."""
        return replace(self, node=node, returned_at=at - self.lasted_s)

    @classmethod
    def load(cls, numbers: Sequence[float]) -> "LatencyWatch":
        """Read what `save` has returned. Raises ValueError for anything else."""
        log_e, lasted_s, slow_until_s, warm_up_s, *rest = numbers
        windows = zip(*[iter(rest)] * 4, strict=True)
        recent = [
            Comparison(mean_ms, expected_ms, int(requests), bool(slower))
            for mean_ms, expected_ms, requests, slower in windows
        ]
        if not (math.log(_LEAST) - 1 <= log_e <= math.log(_MOST) + 1 and min(numbers[1:]) >= 0):
            raise ValueError(f"the evidence on a server is out of range: {log_e}")
        if not all(math.isfinite(number) for number in numbers) or not all(
            compared.expected_ms for compared in recent
        ):
            raise ValueError("response times that are no numbers")
        return cls("", 0.0, log_e, lasted_s, slow_until_s, warm_up_s, recent)
