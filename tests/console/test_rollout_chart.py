"""The charts of both versions: zero is no gap, a gap is no zero, and no value breaks them."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs
from rich.cells import cell_len

from orchestrator.events.comparison import format_response
from orchestrator.events.events import Record, RolloutStarted
from orchestrator.events.state import RolloutState
from tests.support.console_values import HOSTILE, harmless
from tests.support.verdicts import GOOD, verdicts
from widgets.rollout_chart import build_large_chart, build_small_chart, plot


def test_zero_has_a_bar_what_is_not_zero_a_higher_one_and_the_unknown_none() -> None:
    assert plot([0.0, 0.001, 0.5, 1.0, None], 1.0, 1) == ["▁▂▄▇ "]
    assert plot([0.0, 0.001, 0.5, 1.0, None], 1.0, 2) == ["   ▇ ", "▁▂██ "]
    assert plot([0.0, None], 0.0, 1) == ["▁ "]


def compared(*found: tuple[float, object], version: str = "1.5.0") -> RolloutState:
    started = RolloutStarted(
        application="shop", version=version, nodes=["a"], batches=[["a"]], operator="ann"
    )
    state = RolloutState.of([Record(1, 900.0, started)])
    for number, (at, verdict) in enumerate(found, 2):
        state.apply(Record(number, 1000.0 + at, verdict))  # type: ignore[arg-type]
    return state


def texts(lines: object) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]  # type: ignore[attr-defined]


def test_both_versions_have_a_plot_with_their_last_value_and_one_scale() -> None:
    lines = texts(build_small_chart(compared(*verdicts(4, bad_from=3)), 49))
    assert lines == [
        "errors       1.5.0    ▂▂▂▂▂▂▂▂▂▂▂▂▇▇▇▇▇▇   20.0 %",
        "max 20.0 %   others   ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂    1.0 %",
        "response     1.5.0    ▆▆▆▆▆▆▇▇▇▇▇▇▆▆▆▆▆▆   8.0 ms",
        "max 10 ms    others   ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆   9.0 ms",
    ]
    side_by_side = texts(build_small_chart(compared(*verdicts(4)), 120))
    assert len(side_by_side) == 2
    assert all("1.5.0" in side_by_side[0][start:] for start in (0, 60))


def test_without_a_point_there_is_no_chart() -> None:
    assert build_small_chart(compared((0.0, GOOD)), 80) == []


def test_the_large_chart_has_the_time_below() -> None:
    lines = texts(build_large_chart(compared(*verdicts(25)), 60, 20))
    assert len(lines) == 4 * 4 + 2
    assert lines[-1].split() == ["0:00", "4:00"]


NUMBERS = some.floats(min_value=0, allow_nan=False)


@given(
    counts=some.lists(
        some.tuples(some.integers(0, 2**60), some.integers(0, 2**60), some.none() | NUMBERS),
        min_size=2,
        max_size=9,
    ),
    width=some.integers(1, 140),
)
def test_every_verdict_can_be_drawn(counts: list[tuple[int, int, float | None]], width: int) -> None:
    found = [
        (
            float(number),
            structs.replace(
                GOOD,
                requests=requests,
                errors=errors,
                other_requests=errors,
                other_errors=requests,
                response_ms=response,
                other_response_ms=response,
            ),
        )
        for number, (requests, errors, response) in enumerate(counts)
    ]
    state = compared(*found)
    build_small_chart(state, width)
    if state.comparison.points:
        build_large_chart(state, width, 20)


@pytest.mark.parametrize("version", HOSTILE)
def test_a_version_is_no_markup(version: str) -> None:
    for line in texts(build_small_chart(compared(*verdicts(4), version=version), 80)):
        assert harmless(line)
        assert cell_len(line) <= 80


def test_response_times_fit_into_their_column() -> None:
    values = [0.04, 8.24, 9.96, 120.4, 999.7, 2_500.0, 99_960.0, 1e300]
    assert [format_response(value) for value in values] == [
        *("0.0 ms", "8.2 ms", "10 ms", "120 ms", "1.0 s", "2.5 s", "100 s", "99999 s")
    ]
