"""Freeze windows: when nobody is to roll out anything. Pure: the time comes in, as seconds since 1970.

Times are what clocks on the wall show. Where they are put forward or back, a window is never shorter than
either way to read its ends.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from orchestrator.events.actor import Actor
from orchestrator.events.events import FreezeOverridden
from orchestrator.planning.plan import Finding, Severity

SUBJECT = "freeze"
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_DAYS_AHEAD = (
    370  # days that are looked ahead: what is frozen all that time has no end that would help anybody
)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Freeze(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One `[[freeze]]` table: weekly with `days`, or once.

    Attributes:
        days: those on which it begins, each week.
        begin: `from` in the configuration: "18:00" with days (default: midnight), a date with a time without.
        end: `to` in the configuration, likewise; not later than `from` means the next day.
        timezone: such as "Europe/Berlin"; default: the machine's.
        reason: for whoever is refused.
    """

    reason: str
    days: list[Day] = []
    begin: Any = msgspec.field(default=None, name="from")
    end: Any = msgspec.field(default=None, name="to")
    timezone: str = ""

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("reason: found an empty text, expected why")
        _zone(self.timezone)
        if self.days:
            _clock("from", self.begin)
            _clock("to", self.end)
            return
        if not isinstance(self.begin, datetime) and not isinstance(self.end, datetime):
            raise ValueError(
                'expected `days = ["fri"]` each week, or once: `from` and `to` as 2026-12-24T18:00:00'
            )
        for name, value in (("from", self.begin), ("to", self.end)):
            if not isinstance(value, datetime) or not 2000 <= value.year < 3000:
                raise ValueError(f"{name}: expected a date with a time, such as 2026-12-24T18:00:00")
        first, last = self._once()
        if last <= first:
            raise ValueError("to: expected a moment after `from`")

    def window(self, at: float) -> tuple[float, float] | None:
        """Begin and end, in seconds since 1970, of the window in which this moment is."""
        windows = self._weekly(at) if self.days else iter([self._once()])
        return max(
            (window for window in windows if window[0] <= at < window[1]), default=None, key=lambda x: x[1]
        )

    def _weekly(self, at: float) -> Iterator[tuple[float, float]]:
        first, last = _clock("from", self.begin), _clock("to", self.end)
        today = datetime.fromtimestamp(at, _zone(self.timezone)).date()
        for offset in (-2, -1, 0, 1):  # one that began yesterday may not be over, and clocks are put back
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] in self.days:
                until = day + timedelta(days=last <= first)
                yield self._instants(day, first)[0], self._instants(until, last)[1]

    def _once(self) -> tuple[float, float]:
        return (
            self._instants(self.begin.date(), self.begin.timetz())[0],
            self._instants(self.end.date(), self.end.timetz())[1],
        )

    def _instants(self, day: date, clock: time) -> tuple[float, float]:
        """The earliest and the latest moment at which clocks there show, or would show, this."""
        wall = datetime.combine(day, clock)
        here = wall if wall.tzinfo else wall.replace(tzinfo=_zone(self.timezone))
        moments = [here.replace(fold=fold).timestamp() for fold in (0, 1)]
        return min(moments), max(moments)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A moment is in at least one window."""

    until: float | None  # seconds since 1970, when no window follows any more; None: no end is near
    reason: str  # of the window that ends last, among those of the moment itself
    timezone: str

    def words(self, at: float) -> str:
        """Until when and why, as seen at this moment."""
        if self.until is None:
            return f"frozen, with no end in the next {MAX_DAYS_AHEAD} days: {self.reason}"
        zone = _zone(self.timezone)
        end = datetime.fromtimestamp(self.until, zone)
        day = f"{DAYS[end.weekday()].capitalize()} "
        if self.until - at > 6 * 86400:  # another one of that name comes before
            day += f"{end:%Y-%m-%d} "
        where = f" ({self.timezone})" if self.timezone else ""
        return f"frozen until {day}{end:%H:%M}{where}: {self.reason}"


def frozen(freezes: Sequence[Freeze], at: float) -> Frozen | None:
    """Whether this moment (seconds since 1970) is in a window, and when none follows any more."""
    now = [(window[1], freeze) for freeze in freezes if (window := freeze.window(at))]
    if not now:
        return None
    until, last = max(now, key=lambda found: found[0])
    while following := [window[1] for freeze in freezes if (window := freeze.window(until))]:
        until = max(following)
        if until - at > MAX_DAYS_AHEAD * 86400:
            return Frozen(None, last.reason, last.timezone)
    return Frozen(until, last.reason, last.timezone)


def judge_freeze(freezes: Sequence[Freeze], at: float, severity: Severity) -> list[Finding]:
    """What preflight says of this moment.

    Args:
        freezes: the windows.
        at: seconds since 1970.
        severity: an error refuses the rollout; what repairs, such as a rollback, is only warned.
    """
    found = frozen(freezes, at)
    if found is None:
        return []
    hint = "; --override-freeze starts anyway" if severity is Severity.ERROR else ""
    return [Finding(severity, SUBJECT, found.words(at) + hint)]


def overridden(findings: Iterable[Finding], operator: Actor) -> Iterator[FreezeOverridden]:
    """The events that keep in mind that a rollout is begun in spite of a freeze."""
    for finding in findings:
        if finding.subject == SUBJECT and finding.severity is Severity.WARNING:
            yield FreezeOverridden(operator=operator.name, reason=finding.text, **operator.origin)


def _clock(name: str, value: object) -> time:
    """A time of day, "18:00" or TOML's own 18:00:00; midnight when it is left out."""
    if value is None:
        return time()
    if isinstance(value, time):
        return value
    if name == "to" and value == "24:00":
        return time()  # not later than `from`: that of the next day
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return time.fromisoformat(value)
    raise ValueError(f'{name}: with `days` expected a time of day such as "18:00"')


def _zone(name: str) -> ZoneInfo | None:
    """None is the machine's own."""
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, LookupError):
        raise ValueError(
            f'timezone: found {name[:80]!r}, expected a name such as "Europe/Berlin" or nothing'
        ) from None
