import pytest

from backends.text import UNKNOWN_TIME, format_clock, format_duration, format_local_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (125.4, "2:05"),
        (3600, "1h00"),
        (11_220, "3h07"),
    ],
)
def test_durations_take_at_most_five_columns(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_clock_does_not_run_ahead() -> None:
    assert format_clock(18.9) == "0:18"


@pytest.mark.parametrize("at", [1e300, -1e300, float("nan"), float("inf")])
def test_a_moment_that_nobody_can_have_written_breaks_nothing(at: float) -> None:
    assert format_local_time(at) == UNKNOWN_TIME
