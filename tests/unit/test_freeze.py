"""Freeze windows: what clocks on the wall say, also where they are put forward and back."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.events.events import FreezeOverridden, RolloutStarted
from orchestrator.planning.application import DAYS, Freeze, find_freeze
from orchestrator.planning.findings import PreflightFailed, Severity, judge_freeze
from orchestrator.preflight.preflight import preflight
from tests.support.fake_fleet import World
from tests.support.virtual_time import EPOCH

BERLIN = "Europe/Berlin"  # put forward on 2026-03-29 at 02:00, back on 2026-10-25 at 03:00
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
WEEKEND = {"days": ["fri", "sat"], "from": "18:00", "to": "08:00"}


def freeze(**settings: Any) -> Freeze:
    return msgspec.convert({"reason": "no one is there", "timezone": BERLIN, **settings}, Freeze)


def at(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def until(moment: str, *freezes: Freeze) -> str:
    """When it ends, as a clock in Berlin shows it; empty when it is not frozen."""
    found = find_freeze(freezes, at(moment))
    if found is None:
        return ""
    assert found.until is not None
    return datetime.fromtimestamp(found.until, ZoneInfo(BERLIN)).isoformat(" ", "minutes")[:16]


@pytest.mark.parametrize(
    ("settings", "moment", "end"),
    [  # 2026-11-27 is a Friday
        (WEEKEND, "2026-11-27 17:59:59", ""),
        (WEEKEND, "2026-11-27 18:00", "2026-11-28 08:00"),
        (WEEKEND, "2026-11-28 07:59", "2026-11-28 08:00"),
        (WEEKEND, "2026-11-28 08:00", ""),
        (WEEKEND, "2026-11-28 23:00", "2026-11-29 08:00"),
        (WEEKEND, "2026-11-29 18:00", ""),
        ({"days": ["fri"]}, "2026-11-27 00:00", "2026-11-28 00:00"),
        ({"days": ["fri", "sat", "sun"]}, "2026-11-27 12:00", "2026-11-30 00:00"),
        ({"days": ["fri"], "from": "12:00"}, "2026-11-27 11:59", ""),
        ({"days": ["fri"], "from": "12:00", "to": "24:00"}, "2026-11-27 12:00", "2026-11-28 00:00"),
        ({"days": ["fri"], "to": "08:00"}, "2026-11-27 07:00", "2026-11-27 08:00"),
        ({"days": ["fri"], "to": "08:00"}, "2026-11-27 08:00", ""),
        ({"days": ["fri"], "from": time(9), "to": time(10)}, "2026-11-27 09:00", "2026-11-27 10:00"),
        ({"days": ["fri"], "from": "09:00", "to": "09:00"}, "2026-11-28 08:59", "2026-11-28 09:00"),
        # Clocks are put forward in the night to Sunday: 02:30 is not shown then
        ({"days": ["sat"], "from": "22:00", "to": "06:00"}, "2026-03-29 05:59", "2026-03-29 06:00"),
        ({"days": ["sun"], "from": "02:30", "to": "04:00"}, "2026-03-29 03:00", "2026-03-29 04:00"),
        ({"days": ["sun"], "from": "01:00", "to": "02:30"}, "2026-03-29 01:59", "2026-03-29 03:30"),
        # and back: 02:30 is shown twice
        ({"days": ["sun"], "from": "02:30", "to": "04:00"}, "2026-10-25 02:30", "2026-10-25 04:00"),
        ({"days": ["sun"], "from": "01:00", "to": "02:30"}, "2026-10-25 01:00", "2026-10-25 02:30"),
    ],
)
def test_each_week(settings: dict[str, Any], moment: str, end: str) -> None:
    assert until(moment, freeze(**settings)) == end


def test_a_window_ends_when_its_clock_shows_the_time_for_the_last_time() -> None:
    night = freeze(days=["sun"], to="02:30", **{"from": "01:00"})
    assert find_freeze([night], at("2026-10-25 02:29", fold=1)) is not None
    assert find_freeze([night], at("2026-10-25 02:30", fold=1)) is None
    found = find_freeze([night], at("2026-10-25 02:45"))  # of the first time: it will be 02:15 again
    assert found is not None
    assert found.until == at("2026-10-25 02:30", fold=1)


def test_once() -> None:
    christmas = freeze(**{"from": datetime(2026, 12, 24), "to": datetime(2027, 1, 2, 6)})  # noqa: DTZ001 - local time, as TOML has it
    assert until("2026-12-23 23:59", christmas) == ""
    assert until("2026-12-24 00:00", christmas) == "2027-01-02 06:00"
    assert until("2027-01-02 06:00", christmas) == ""
    offset = freeze(**{"from": datetime(2026, 12, 24, tzinfo=UTC), "to": datetime(2026, 12, 25, tzinfo=UTC)})
    assert until("2026-12-24 00:59", offset) == ""
    assert until("2026-12-24 01:00", offset) == "2026-12-25 01:00"


def test_windows_that_follow_upon_each_other_are_one() -> None:
    weekdays = freeze(days=["thu"], **{"from": "08:00", "to": "18:00"}, reason="fair")
    night = freeze(days=["thu"], **{"from": "17:00", "to": "08:00"}, reason="night")
    friday = freeze(days=["fri"], **{"from": "08:00", "to": "12:00"}, reason="inventory")
    assert until("2026-11-26 09:00", weekdays, night, friday) == "2026-11-27 12:00"
    found = find_freeze([weekdays, night, friday], at("2026-11-26 17:30"))
    assert found is not None
    assert found.reason == "night"


def test_where_each_day_is_frozen_no_end_is_searched_for_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    but_sundays = freeze(days=[day for day in DAYS if day != "sun"])
    sunday = freeze(**{"from": datetime(2026, 11, 29), "to": datetime(2026, 11, 30)})  # noqa: DTZ001 - local time, as TOML has it
    assert until("2026-11-23 12:00", but_sundays, sunday) == "2026-12-06 00:00"
    asked: list[float] = []
    window = Freeze.window

    def count(freeze: Freeze, at: float) -> tuple[float, float] | None:
        asked.append(at)
        return window(freeze, at)

    monkeypatch.setattr(Freeze, "window", count)
    found = find_freeze([freeze(days=list(DAYS))], at("2026-11-23 12:00"))
    assert found is not None
    assert found.until is None
    assert len(asked) < 20


@pytest.mark.parametrize(
    ("settings", "moment", "words"),
    [
        (WEEKEND, "2026-11-28 20:00", "frozen until Sun 08:00 (Europe/Berlin): no one is there"),
        (
            {"days": list(DAYS)},
            "2026-11-28 20:00",
            "frozen, with no end in the next 370 days: ",
        ),
        (
            {"from": datetime(2026, 12, 24), "to": datetime(2027, 1, 2, 6)},  # noqa: DTZ001 - local time, as TOML has it
            "2026-12-24 20:00",
            "frozen until Sat 2027-01-02 06:00 (Europe/Berlin): no one is there",
        ),
    ],
)
def test_what_is_said(settings: dict[str, Any], moment: str, words: str) -> None:
    freezes, now = [freeze(**settings)], at(moment)
    [error] = judge_freeze(freezes, now, Severity.ERROR)
    assert (error.severity, error.subject) == (Severity.ERROR, "freeze")
    assert error.text.startswith(words)
    assert error.text.endswith("no one is there; --override-freeze starts anyway")
    [warning] = judge_freeze(freezes, now, Severity.WARNING)
    assert (warning.severity, warning.text) == (Severity.WARNING, error.text.partition(";")[0])
    assert judge_freeze([], now, Severity.ERROR) == []


def test_without_a_time_zone_it_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    import time as clock

    try:
        for zone in ("America/New_York", BERLIN):
            with monkeypatch.context() as patched:
                patched.setenv("TZ", zone)
                clock.tzset()
                here = freeze(days=["fri"], **{"from": "18:00", "to": "20:00"}, timezone="")
                assert here.window(at("2026-11-27 18:00", zone)) == (
                    at("2026-11-27 18:00", zone),
                    at("2026-11-27 20:00", zone),
                )
                assert here.window(at("2026-11-27 17:59", zone)) is None
                found = find_freeze([here], at("2026-11-27 18:00", zone))
                assert found is not None
                assert found.text(0.0).endswith("20:00: no one is there")
    finally:
        clock.tzset()


# -- whatever is asked ------------------------------------------------------------------------

clocks = st.times(timezones=st.none()).map(lambda clock: clock.replace(second=0, microsecond=0))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants bounds without a zone
changes = st.sampled_from(  # around which clocks are put forward or back somewhere
    [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
    ]
)
near = st.builds(lambda change, minutes: change + timedelta(minutes=minutes), changes, st.integers(-600, 600))


def shown(wall: datetime, days: list[str], first: time, last: time) -> bool:
    """Whether this is a window by the clock on the wall alone, as somebody reads the configuration."""

    def begins(day: date) -> bool:
        return DAYS[day.weekday()] in days

    now = wall.time()
    if first < last:
        return begins(wall.date()) and first <= now < last
    yesterday = wall.date() - timedelta(days=1)
    return (begins(wall.date()) and now >= first) or (begins(yesterday) and now < last)


@given(
    moment=moments | near,
    days=st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
    first=clocks,
    last=clocks,
    zone=st.sampled_from(ZONES),
)
def test_whenever_the_clock_says_so_it_is_frozen(
    moment: datetime, days: list[str], first: time, last: time, zone: str
) -> None:
    window = freeze(days=days, timezone=zone, **{"from": first, "to": last})
    now = moment.timestamp()
    wall = moment.astimezone(ZoneInfo(zone))
    found = window.window(now)
    by_clock = shown(wall.replace(tzinfo=None), days, first, last)
    offsets = {
        (moment + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).utcoffset() for hours in (-50, 50)
    }
    if by_clock:
        assert found is not None
    elif len(offsets) == 1:
        assert found is None, "without a change of the clocks there is nothing but the clock"
    if found:
        assert found[0] <= now < found[1]
        assert found[1] - found[0] <= 27 * 3600


@given(
    moment=moments | near,
    windows=st.lists(
        st.tuples(st.lists(st.sampled_from(DAYS), min_size=1, unique=True), clocks, clocks), max_size=3
    ),
    zone=st.sampled_from(ZONES),
)
def test_the_end_is_the_first_moment_that_is_free(
    moment: datetime, windows: list[tuple[list[str], time, time]], zone: str
) -> None:
    freezes = [freeze(days=d, timezone=zone, **{"from": f, "to": t}) for d, f, t in windows]
    now = moment.timestamp()
    found = find_freeze(freezes, now)
    assert (found is None) == all(freeze.window(now) is None for freeze in freezes)
    if found is None or found.until is None:
        return
    assert found.until > now
    assert find_freeze(freezes, found.until) is None
    assert find_freeze(freezes, found.until - 1) is not None
    middle = now + (found.until - now) / 2
    assert find_freeze(freezes, middle) is not None
    assert found.text(now).startswith("frozen until ")


# -- in a rollout -----------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_freeze_refuses_and_overridden_it_is_an_event() -> None:
    world = World(nodes=2)
    always = freeze(**{"from": datetime(2020, 1, 1, tzinfo=UTC), "to": datetime(2040, 1, 1, tzinfo=UTC)})
    found = {severity: judge_freeze([always], EPOCH, severity) for severity in Severity}
    refused = await preflight(world.application, "2.0", known_findings=found[Severity.ERROR])
    with pytest.raises(PreflightFailed, match="freeze: frozen until Sun 2040-01-01 01:00"):
        await world.carry_out(refused)
    assert not world.touched()
    assert world.records == []
    warned = await preflight(world.application, "2.0", known_findings=found[Severity.WARNING])
    assert (await world.carry_out(warned)).result == "healthy"
    [event] = world.events(FreezeOverridden)
    assert (event.operator, event.reason) == ("me@here", found[Severity.WARNING][0].text)
    assert isinstance(world.records[0].event, RolloutStarted)
    assert replace(found[Severity.WARNING][0], severity=Severity.ERROR) not in refused.errors
