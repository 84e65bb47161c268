"""Many simulated rollouts at a time, and the figures of what they found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

CaseT = TypeVar("CaseT")
OutcomeT = TypeVar("OutcomeT")

AIM = 0.001  # of good versions that are stopped
CHUNK = 25  # rollouts that a process simulates at a time


def simulate_cases(
    pool: ProcessPoolExecutor,
    simulate: Callable[[CaseT, Iterable[int]], list[OutcomeT]],
    cases: Sequence[CaseT],
    count: int,
) -> Iterator[tuple[CaseT, list[OutcomeT]]]:
    """Simulate all cases in parallel, and yield them in their order with their outcomes.

    Args:
        pool: runs the simulations.
        simulate: simulates the rollouts with these numbers; a function of a module, so that it can be sent.
        cases: what is simulated.
        count: rollouts for each case.
    """
    starts = range(0, count, CHUNK)
    futures = [
        [pool.submit(simulate, case, range(start, min(start + CHUNK, count))) for start in starts]
        for case in cases
    ]
    for case, chunks in zip(cases, futures, strict=True):
        yield case, [outcome for chunk in chunks for outcome in chunk.result()]


def find_quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values; infinity without any."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("inf")


def format_percent(share: float) -> str:
    """Return a share like `1.33 %`."""
    return f"{100 * share:.3g} %"
