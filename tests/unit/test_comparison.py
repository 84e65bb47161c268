"""The new version against the old one over a rollout, folded from verdicts: bounded, and the same for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from orchestrator.events.comparison import (
    MAX_POINTS,
    Comparison,
    GroupSample,
    find_top,
    measure_error_rate,
    measure_response,
)
from orchestrator.events.events import Record, RolloutStarted
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.journal.entries import decode_event, encode_row
from tests.support.verdicts import BAD, GOOD, verdicts

STARTED = RolloutStarted(application="shop", version="1.5.0", nodes=["a"], batches=[["a"]], operator="ann")


def compare(found: list[tuple[float, VerdictChanged]]) -> Comparison:
    comparison = Comparison()
    for at, verdict in found:
        comparison.apply(verdict, 1000.0 + at)
    return comparison


def test_points_are_what_came_between_two_verdicts() -> None:
    points = compare(verdicts(4, bad_from=3)).points
    assert [(point.began, point.ended) for point in points] == [(1000, 1010), (1010, 1020), (1020, 1030)]
    assert [point.new.error_rate for point in points] == [0.01, 0.01, 0.2]
    assert [point.old.error_rate for point in points] == [0.01, 0.01, 0.01]
    assert [point.new.response_ms for point in points] == [9, 10, 8]


@given(count=some.integers(2, 2_000))
def test_points_are_bounded_and_lose_no_request(count: int) -> None:
    comparison = compare(verdicts(count))
    assert len(comparison.points) <= MAX_POINTS
    assert sum(point.new.requests for point in comparison.points) == 400 * (count - 1)
    assert sum(point.old.requests for point in comparison.points) == 1_200 * (count - 1)
    assert comparison.seconds == pytest.approx(10 * (count - 1))
    ends = [point.ended for point in comparison.points]
    assert [point.began for point in comparison.points[1:]] == ends[:-1]


def test_columns_cover_the_whole_span_and_show_where_nothing_was_measured() -> None:
    found = verdicts(4)
    still = [(50.0, found[-1][1]), *((at + 30, verdict) for at, verdict in verdicts(5)[3:])]
    columns = compare([*found, *still]).columns(7)
    assert [column is None for column in columns] == [False, False, False, True, True, True, False]
    assert compare([]).columns(3) == [None] * 3


def test_counts_that_went_back_are_no_errors() -> None:
    again = structs.replace(GOOD, errors=0, requests=10, other_errors=0, other_requests=10)
    comparison = compare([*verdicts(3), (30.0, again), (40.0, structs.replace(again, requests=50))])
    assert [point.new.requests for point in comparison.points] == [400, 400, 40]


def test_without_requests_there_is_no_rate() -> None:
    assert measure_error_rate(GroupSample()) is None
    assert measure_response(GroupSample(0, 0, 12.0)) is None
    merged = GroupSample(300, 3, 10.0).merge(GroupSample(100, 1, 30.0)).merge(GroupSample(0, 0, None))
    assert (merged.error_rate, merged.response_ms) == (0.01, 15.0)


def test_both_versions_share_a_scale() -> None:
    points = compare(verdicts(6, bad_from=4)).points
    assert find_top(points, measure_error_rate) == 0.2
    assert find_top(points, measure_response) == 10.0
    assert find_top([], measure_response) == 0.0


def test_every_reader_of_the_events_has_the_same() -> None:
    records = [Record(1, 900.0, STARTED)]
    records += [Record(2 + number, 1000 + at, verdict) for number, (at, verdict) in enumerate(verdicts(9))]
    state = RolloutState.of(records)
    assert state.verdict == records[-1].event
    assert state.comparison == compare(verdicts(9))
    read = [Record(record.seq, record.at, decode_event(encode_row(record))) for record in records]
    assert RolloutState.of(read) == state


def test_a_verdict_that_names_a_node_is_of_the_rollout_and_the_next_rollout_begins_anew() -> None:
    state = RolloutState.of([Record(1, 900.0, BAD)])
    assert state.verdict is None
    state = RolloutState.of([Record(1, 900.0, STARTED), Record(2, 901.0, BAD)])
    assert state.verdict == BAD
    state.apply(Record(3, 902.0, STARTED))
    assert state.verdict is None
    assert state.comparison.points == []
