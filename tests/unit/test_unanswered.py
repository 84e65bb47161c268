"""Requests that hang: what counts of them, when, and that they leave no trace."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.canary.in_flight import Flow, Usual, find_excess
from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import Cell, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Group
from tests.support.hanging_worlds import HangingWorld, simulate_hanging

SILENT = HangingWorld(silent=0.2, only_first=True)
HANGS = replace(SILENT, timeout_s=30.0, watch_s=15.0)


def _cell(group: Group = "new", *, requests: int = 10, **fields: int) -> Cell:
    name = "web1" if group == "new" else "web2"
    return Cell(name, name, group, requests, **{"errors": 0, "response_time": 3, **fields})


def _poll(at: float, *cells: Cell, duration_s: float = 0.25) -> Poll:
    return Poll("lb1", at, duration_s, [Stratum("shop", cells)])


def _flow(seconds: float, rps: int, in_flight: int, response_ms: int) -> Flow:
    """Return the flow of a server whose requests all took as long, and whose average has always shown it."""
    answered, at = 5_000, 0.0
    flow = Flow(_poll(at), _cell(requests=0, response_time=response_ms, total_answered=answered))
    while at < seconds:
        at += 0.25
        answered += rps // 4
        cell = _cell(
            requests=rps // 4,
            answered=rps // 4,
            in_flight=in_flight,
            response_time=response_ms,
            total_answered=answered,
        )
        flow.add(_poll(at), cell)
    return flow


@pytest.mark.parametrize("world", [SILENT, replace(SILENT, rps=75.0), replace(SILENT, history_s=12.0)])
def test_a_version_without_answers_is_bad_soon_after_the_first_time_outs(world: HangingWorld) -> None:
    outcomes = [simulate_hanging(world, seed) for seed in range(5)]
    after_s = sorted(found.bad_after_s for found in outcomes if found.bad_after_s is not None)
    assert len(after_s) == 5
    assert after_s[2] <= 2.5  # with time-outs alone, a second later
    assert max(found.failed for found in outcomes) <= 50


def test_the_reason_names_what_has_no_answer_yet() -> None:
    outcome = simulate_hanging(replace(SILENT, rps=75.0), 1)
    found = outcome.judge.judge(0.0)
    assert found.state == "bad"
    assert found.reason.startswith("1.5.0 fails ")
    assert found.reason.endswith(" more have no answer yet")
    assert found.evidence >= 10


def test_a_version_that_hangs_for_long_is_held_within_seconds() -> None:
    outcome = simulate_hanging(HANGS, 1)
    assert outcome.bad_after_s is None
    assert outcome.held_after_s is not None
    assert outcome.held_after_s <= 6
    number, rest = outcome.reason.split(maxsplit=1)
    assert int(number) >= 10
    others = "servers with the old version have 0 in flight"
    assert rest == f"requests to web1 have been waiting for an answer for more than 3 s; {others}"


def test_requests_that_hang_are_suspicious_before_they_are_held_for() -> None:
    outcome = simulate_hanging(replace(HANGS, silent=0.05), 1)
    assert outcome.suspected_after_s is not None
    assert outcome.held_after_s is not None
    assert outcome.suspected_after_s < 5
    assert outcome.suspected_after_s < outcome.held_after_s - 2


def test_a_warm_up_that_was_set_is_waited_for() -> None:
    outcome = simulate_hanging(HANGS, 1, CanarySettings(warm_up=10.0))
    assert outcome.held_after_s is not None
    assert outcome.held_after_s >= 10
    assert outcome.suspected_after_s == 10


@pytest.mark.parametrize(
    "world",
    [
        HangingWorld(warm_up_s=2.0, stall_s=2.0, timeout_s=5.0, watch_s=8.0),
        HangingWorld(slower_s=0.2, timeout_s=30.0, watch_s=8.0),
        HangingWorld(slower_s=2.0, timeout_s=30.0, watch_s=8.0, only_first=True),
        HangingWorld(answer_s=1.0, timeout_s=30.0, watch_s=8.0),
        HangingWorld(stream_share=0.1, before_s=60.0, timeout_s=30.0, watch_s=8.0),
    ],
    ids=["warm-up", "slower", "much slower", "slow answers", "downloads"],
)
def test_what_is_answered_after_all_is_neither_bad_nor_held(world: HangingWorld) -> None:
    for seed in range(2):
        outcome = simulate_hanging(world, seed)
        assert outcome.bad_after_s is None
        assert outcome.held_after_s is None


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_stall_in_which_some_requests_time_out_is_not_bad(share: float) -> None:
    world = HangingWorld(stall_every_s=120.0, stall_share=share, watch_s=20.0)
    assert not any(simulate_hanging(world, seed).bad_after_s for seed in range(3))


def _second(start: float, **fields: int) -> list[Poll]:
    """Return a second of polls; the fields are those of each cell of web1."""
    old = [_cell("old", requests=60, answered=60), _cell("old", requests=60, answered=60)]
    old = [cell._replace(server=f"web{number}", node=f"web{number}") for number, cell in enumerate(old, 2)]
    return [_poll(start + 0.25 * number, _cell("new", **fields), *old) for number in range(1, 5)]


def test_what_was_answered_late_leaves_no_trace() -> None:
    judge, other = Judge(CanarySettings(), []), Judge(CanarySettings(), [])
    for poll in [*_second(0, answered=8), *_second(1, answered=8)]:
        cells = [
            cell._replace(in_flight=20) if cell.group == "new" else cell for cell in poll.strata[0].cells
        ]
        judge.add(replace(poll, strata=[Stratum("shop", cells)]))
        other.add(poll)
    for poll in [*_second(2, answered=18), *_second(3, answered=10)]:
        judge.add(poll)
        other.add(poll)
    assert judge.evidence == other.evidence
    assert judge.judge(4.0) == other.judge(4.0)
    assert not judge.suspicion(4.0)


def test_what_hangs_is_forgotten_when_nothing_is_known_of_it() -> None:
    judge = Judge(CanarySettings(), [])
    for poll in [*_second(0, in_flight=8), *_second(1, in_flight=16), *_second(2, in_flight=24)]:
        judge.add(poll)
    assert judge.suspicion(3.0) == "24 requests to web1 have no answer yet"
    assert not judge.suspicion(6.0)


def test_without_an_old_version_nothing_is_known() -> None:
    flow = _flow(2.0, rps=40, in_flight=100, response_ms=3)
    assert Usual.of([]) is None
    assert find_excess(flow, None).beyond(0) == 0
    assert find_excess(flow, Usual.of([_flow(2.0, rps=40, in_flight=0, response_ms=3)])).beyond(1) > 90


@given(
    rps=st.sampled_from([8, 40, 200, 1000]),
    response_ms=st.integers(1, 3000),
    usual_ms=st.integers(1, 3000),
    streams=st.integers(0, 500),
)
@settings(deadline=None, max_examples=60)
def test_what_answers_explain_does_not_hang(rps: int, response_ms: int, usual_ms: int, streams: int) -> None:
    """Little's law, whatever rounding hides; what both versions stream is no excess either."""
    old = _flow(2.0, rps, round(rps * usual_ms / 1000) + streams, usual_ms)
    new = _flow(2.0, rps, round(rps * response_ms / 1000) + streams, response_ms)
    assert find_excess(new, Usual.of([old])).beyond(1) == 0
