"""Verdicts as a rollout emits them, with numbers that are easy to check."""

from collections.abc import Sequence

from msgspec import structs

from orchestrator.events.events import Record
from orchestrator.events.judgement import DetectableRatio, VerdictChanged

GOOD = VerdictChanged(
    version="1.5.0",
    state="good",
    errors=0,
    requests=3_120,
    other_errors=2,
    other_requests=9_480,
    ratio=0.0,
    excluded_rate=0.0024,
    response_ms=8.2,
    other_response_ms=8.6,
    detectable=[DetectableRatio(ratio=2, duration_s=213.0), DetectableRatio(ratio=3, duration_s=52.0)],
    compared_s=240.0,
)
HOLD = structs.replace(
    GOOD, state="hold", reason="1.5.0 is slower: 2.3× its peers", slower=2.3, response_ms=19.8, detectable=[]
)
BAD = structs.replace(
    GOOD,
    state="bad",
    node="web1",
    errors=18,
    requests=92,
    other_errors=1,
    other_requests=277,
    reason="1.5.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %) at the same time",
    ratio=50.0,
    evidence=12_400.0,
    detectable=[],
    compared_s=3.0,
)
BLIND = VerdictChanged(
    version="1.5.0",
    state="blind",
    reason="1.5.0 got only 12 of the 50 requests that it takes to judge it",
    requests=12,
    other_errors=1,
    other_requests=300,
    compared_s=4.0,
)


def verdicts(count: int, every_s: float = 10.0, *, bad_from: int = 0) -> list[tuple[float, VerdictChanged]]:
    """Return verdicts with the time of each in seconds, all "good"; from one on every fifth request fails.

    The new version gets 40 requests in a second and the old one 120, of which one in a hundred fails.
    """
    found, errors = [], 0
    for number in range(count):
        at = number * every_s
        errors += int(40 * every_s / (5 if bad_from and number >= bad_from else 100)) if number else 0
        verdict = structs.replace(
            GOOD,
            errors=errors,
            requests=int(40 * at),
            other_errors=int(1.2 * at),
            other_requests=int(120 * at),
            response_ms=8.0 + number % 3,
            other_response_ms=9.0,
            compared_s=at,
        )
        found.append((at, verdict))
    return found


def with_verdicts(records: Sequence[Record], *found: VerdictChanged) -> list[Record]:
    """Return the records of a rollout with these verdicts before its end."""
    *rest, last = records
    events = [*(record.event for record in rest), *found, last.event]
    times = [*(record.at for record in rest), *(last.at for _ in found), last.at]
    return [
        Record(number, at, event) for number, (at, event) in enumerate(zip(times, events, strict=True), 1)
    ]
