"""WebSockets that were ended by force, which HAProxy 3 counts as 5xx of the backend."""

import pytest

from backends.model import RequestCounters
from orchestrator.balancers.forced_ends import count_forced_ends

OPEN = RequestCounters(total=20, informational=20, in_flight=20)
NOBODY = RequestCounters()
BACKEND = RequestCounters(total=40, in_flight=40)
MOVED = RequestCounters(total=40, informational=40, in_flight=40)


@pytest.mark.parametrize(
    ("row", "forced"),
    [
        (RequestCounters(total=60, answered=20, answered_5xx=20, in_flight=40), 20),  # 3.0 and 3.2
        (RequestCounters(total=60, informational=20, in_flight=40), 0),  # 2.2 and 2.6, or by themselves
        (
            RequestCounters(total=63, answered=20, answered_5xx=20, in_flight=43),
            17,
        ),  # three requests in flight
    ],
)
def test_all_websockets_of_one_server_are_moved_to_the_other(row: RequestCounters, forced: int) -> None:
    servers = [OPEN._replace(in_flight=0), MOVED]
    assert count_forced_ends([OPEN, OPEN], servers, BACKEND, row, unanswered=0) == forced


def test_early_hints_are_no_websockets() -> None:
    hints = RequestCounters(total=50, answered=45, informational=45)
    row = RequestCounters(total=52, answered=47, answered_5xx=7)
    assert count_forced_ends([NOBODY], [hints], NOBODY, row, unanswered=5) == 0


def test_without_websockets_there_are_none() -> None:
    served = RequestCounters(total=50, answered=50)
    row = RequestCounters(total=60, answered=60, answered_5xx=10)
    assert count_forced_ends([NOBODY], [served], NOBODY, row, unanswered=0) == 0
