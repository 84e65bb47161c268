"""The settings of the judgement, `[apps.NAME.canary]`."""

from typing import Literal

import msgspec


class CanarySettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a new version is judged, and what follows from that.

    Attributes:
        verdict: "stop" acts on a verdict, "watch" only shows it, "off" measures nothing.
        alpha: the probability of stopping a rollout of a version that is as good as the old one.
        m: how strongly errors come in bursts; None: it is learned, and 5 until then.
        least_errors: with fewer errors of the new version the verdict is never "bad".
        ratio: below this ratio of the error rates the verdict is never "bad".
        min_requests: with fewer requests to the new version the verdict is "blind".
        on_slow: what follows when it is still slower than its peers after five minutes: no further node is
            drained ("hold"), an operator is asked ("ask"), it is "bad" ("fail"), or nothing ("note").
        warm_up: seconds after a return in which neither slowness nor requests that hang are held for; None:
            the time of slowness is learned from earlier nodes, and there is none for requests that hang.
    """

    verdict: Literal["stop", "watch", "off"] = "stop"
    alpha: float = 0.001
    m: float | None = None
    least_errors: int = 5
    ratio: float = 1.5
    min_requests: int = 50
    on_slow: Literal["hold", "ask", "fail", "note"] = "ask"
    warm_up: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.1:
            raise ValueError(f"alpha: found {self.alpha}, expected more than 0 and at most 0.1")
        if self.m is not None and not 1 <= self.m <= 20:
            raise ValueError(f"m: found {self.m}, expected 1 to 20")
        if self.least_errors < 1:
            raise ValueError(f"least_errors: found {self.least_errors}, expected at least 1")
        if not self.ratio >= 1:
            raise ValueError(f"ratio: found {self.ratio}, expected at least 1")
        if self.min_requests < 1:
            raise ValueError(f"min_requests: found {self.min_requests}, expected at least 1")
        if self.warm_up is not None and not self.warm_up >= 0:
            raise ValueError(f"warm_up: found {self.warm_up}, expected 0 or more seconds")
