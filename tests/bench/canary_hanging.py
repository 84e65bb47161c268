"""Rollouts in which requests hang, run through the product's own judge: whether it stops or holds them."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.bench.simulations import AIM, find_quantile, format_percent, simulate_cases
from tests.support.hanging_worlds import HangingWorld, simulate_hanging

_YOUNG = 12.0  # seconds that HAProxy of the demo has counted before a drain


@dataclass(frozen=True, slots=True)
class HangingCase:
    """A world, and whether it is good."""

    name: str
    world: HangingWorld
    is_good: bool = True


_Result = tuple[float | None, int, float | None]
"""Seconds until "bad", failed requests, seconds until "hold"."""

CASES = [
    HangingCase("each node stalls for 1.5 s every two minutes", HangingWorld(stall_every_s=120.0)),
    HangingCase(
        "likewise, half of the requests stall, 75/s, young counters",
        HangingWorld(stall_every_s=120.0, stall_share=0.5, rps=75.0, history_s=_YOUNG),
    ),
    HangingCase(
        "likewise, a fifth of them",
        HangingWorld(stall_every_s=120.0, stall_share=0.2, rps=75.0, history_s=_YOUNG),
    ),
    HangingCase(
        "in the first 2 s after a return, all requests take 2 s",
        HangingWorld(warm_up_s=2.0, stall_s=2.0, timeout_s=5.0, watch_s=10.0),
    ),
    HangingCase(
        "all requests take 200 ms longer than 3 ms",
        HangingWorld(slower_s=0.2, timeout_s=30.0, watch_s=10.0),
    ),
    HangingCase("answers take a second", HangingWorld(answer_s=1.0, timeout_s=30.0, watch_s=15.0)),
    HangingCase(
        "one request in ten is a download of 30 s",
        HangingWorld(stream_share=0.1, timeout_s=30.0, before_s=60.0, watch_s=15.0),
    ),
    *(
        HangingCase(
            f"20 % get no answer, time-out 1 s, {rps}/s{', young counters' if young else ''}",
            HangingWorld(silent=0.2, rps=float(rps), only_first=True, history_s=_YOUNG if young else 3600.0),
            is_good=False,
        )
        for rps in (40, 75)
        for young in (False, True)
    ),
    HangingCase(
        "20 % get no answer, time-out 30 s, 40/s",
        HangingWorld(silent=0.2, timeout_s=30.0, only_first=True, watch_s=40.0),
        is_good=False,
    ),
]


def measure_hanging(pool: ProcessPoolExecutor, runs: int) -> tuple[list[str], bool]:
    """Simulate all cases, and return the table, and whether only the bad versions are stopped.

    Args:
        pool: runs the simulations.
        runs: rollouts for each case.
    """
    lines = [
        "| requests | stopped | failed p50 / p90 | held | seconds until held, p50 / p90 |",
        "| --- | --- | --- | --- | --- |",
    ]
    agrees = True
    for case, results in simulate_cases(pool, _run, CASES, runs):
        failed = [failed for bad_after_s, failed, _ in results if bad_after_s is not None]
        held = [held_after_s for *_, held_after_s in results if held_after_s is not None]
        agrees &= len(failed) <= AIM * runs if case.is_good else len(failed) == runs
        lines.append(
            f"| {case.name} | {format_percent(len(failed) / runs)} | {_quantiles(failed, 0)}"
            f" | {format_percent(len(held) / runs)} | {_quantiles(held, 1)} |"
        )
    return lines, agrees


def _run(case: HangingCase, numbers: Iterable[int]) -> list[_Result]:
    outcomes = [simulate_hanging(case.world, f"{case.name} {number}") for number in numbers]
    return [(outcome.bad_after_s, outcome.failed, outcome.held_after_s) for outcome in outcomes]


def _quantiles(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    ordered = sorted(values)
    return " / ".join(f"{find_quantile(ordered, share):.{digits}f}" for share in (0.5, 0.9))
