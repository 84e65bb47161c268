"""With leastconn, a version that fails fast draws requests: it is found before the third second."""

import pytest

from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings

OLD = ("web2", "web3", "web4")
INTERVAL_S = 0.25


def judge() -> Judge:
    lifetimes = [Lifetime("lb1", "shop", name, 144_000, 70, 3600.0) for name in ("web1", *OLD)]
    return Judge(CanarySettings(), lifetimes, version="1.5.0")


def poll(at: float, requests: int, errors: int, others: int, other_errors: int = 0) -> Poll:
    cells = [Cell("web1", "web1", "new", requests, errors)]
    cells += [Cell(name, name, "old", others, other_errors) for name in OLD]
    return Poll("lb1", at, INTERVAL_S, [Stratum("shop", cells)])


def found_after(requests: int, errors: int, others: int, other_errors: int = 0) -> float | None:
    """Seconds after its return until the verdict is "bad", with these numbers in each poll; None: never."""
    tested = judge()
    for number in range(1, 9):
        tested.add(poll(number * INTERVAL_S, requests, errors, others, other_errors))
        if tested.is_bad:
            return number * INTERVAL_S
    return None


@pytest.mark.parametrize(
    ("requests", "errors", "others", "other_errors", "seconds"),
    [
        (30, 30, 5, 0, 0.5),  # 68 % of all: as with leastconn
        (30, 16, 5, 0, 0.75),
        (10, 10, 10, 0, 1.25),  # a fair share: the evidence decides
        (30, 0, 5, 0, None),  # a faster version
    ],
)
def test_a_server_that_draws_requests_and_fails_them_is_bad(
    requests: int, errors: int, others: int, other_errors: int, seconds: float | None
) -> None:
    assert found_after(requests, errors, others, other_errors) == seconds


def test_a_burst_is_no_magnet() -> None:
    tested = judge()
    tested.add(poll(INTERVAL_S, 25, 20, 5))  # 20 errors of one client, at once
    for number in range(2, 121):
        tested.add(poll(number * INTERVAL_S, 5, 0, 5))
    assert not tested.is_bad
