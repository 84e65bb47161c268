"""An application, its policy (`[apps.NAME.rollout]`), and freeze windows (`[[freeze]]`).

The times of freeze windows are local times. If the clocks are put forward or back during a window, the longer
of its possible interpretations applies.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from backends.hooks import Hook
from orchestrator.balancers.group import BalancerGroup
from orchestrator.canary.settings import CanarySettings
from orchestrator.node import Node

Match = Literal["name", "address"]
"""How server lines are matched with nodes: by name, or by address and port."""

Amount = int | str
"""A number of nodes, or a share of them such as "30%"."""

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
COUNT_FLOOR = "50%"  # where `min_available` is "load", which has no number
MAX_DAYS_AHEAD = 370  # days that are searched for the end of a freeze; a later end would help nobody
# Days of weekly windows without a gap, which then have none: clocks may be changed in one of the weeks.
_MAX_WEEKLY_DAYS = 15
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Policy(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The policy of a rollout. The defaults suit a service that takes up to a minute or two to start."""

    serial: Amount | list[Amount] = 1  # batch sizes, as in Ansible; the last one repeats
    order: Literal["inventory", "reverse", "sorted", "reverse_sorted"] = "inventory"
    confirm: Literal["none", "node", "batch", "step"] = "none"
    on_failure: Literal["stop", "rollback-node", "rollback-all"] = "stop"  # when nobody is there to decide
    two_way: Literal["off", "check"] = (
        "check"  # preflight checks whether the present versions can be installed again
    )
    max_fail_percentage: float = 0.0  # of a batch; exceeding it (not reaching it) stops the rollout
    # In rotation at any moment, in each backend on each load balancer. With "load" a batch is also no larger
    # than the others are known to be able to carry.
    min_available: Amount = "50%"
    max_unavailable: Amount | None = None  # the same floor, seen from the other side
    capacity_timeout: float = 60.0  # how long to wait for capacity that was lost elsewhere
    trial: float = (
        15.0  # how long a node drains at least if it is unproven that the others can carry its load
    )
    on_overload: Literal["refuse", "warn"] = "refuse"  # if it is certain that they cannot
    host_timeout: float = 30.0  # how long to retry its host and service manager before a node is taken out
    balancer_unreachable_timeout: float = 30.0  # how long to retry one that does not answer during a step
    drain_timeout: float = 300.0  # how long to wait for sessions to end before maintenance
    maint_grace_period: float = 10.0  # how long to wait for the last sessions in maintenance
    on_remaining_sessions: Literal["proceed", "fail", "shutdown", "pace"] = "proceed"  # if some remain then
    pace_per_second: int = 10  # sessions that are closed each second with "pace"
    stop_timeout: float = 60.0
    install_timeout: float = 600.0
    start_timeout: float = 180.0
    start_grace: float = 10.0  # how long a service that is found dead has to be up again
    verify_timeout: float = 300.0
    require_haproxy_checks: bool = True  # where there are any, they must pass before `ready`
    min_healthy: float = 3.0  # how long own health must be good before `ready`
    bake_time: float = 5.0  # how long to watch a node that is back before going on
    ramp: list[int] = []  # stages of a node's return, in per cent of its weight; empty: it returns at once
    ramp_hold: Literal["verdict"] | float = "verdict"  # how long a stage lasts
    # Errors that clients may see because of a node, from `ready` to the end of its bake. None: the judgement
    # decides, and where it cannot, 0.
    max_5xx: int | None = None
    require_reason: bool = False  # whether operators must say why, for every rollout and manual change

    def __post_init__(self) -> None:
        serial = self.serial if isinstance(self.serial, list) else [self.serial]
        if not serial:
            raise ValueError("serial: found an empty list, expected at least one batch size")
        for size in serial:
            _check("serial", size, least=1)
        _check("min_available", self.count_floor, least=0)
        if self.pace_per_second < 1:
            raise ValueError(f"pace_per_second: found {self.pace_per_second}, expected at least 1")
        if self.max_unavailable is not None:
            _check("max_unavailable", self.max_unavailable, least=1)
        if not 0 <= self.max_fail_percentage <= 100:
            raise ValueError(f"max_fail_percentage: found {self.max_fail_percentage}, expected 0 to 100")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float | int) and not value >= 0:  # also of "nan"
                raise ValueError(f"{name}: found {value}, expected 0 or more")
        if self.ramp and (
            self.ramp != sorted(set(self.ramp)) or not 1 <= self.ramp[0] < 100 or self.ramp[-1] != 100
        ):
            raise ValueError(f"ramp: found {self.ramp}, expected rising per cents, the last of them 100")
        if self.min_healthy >= self.verify_timeout:
            raise ValueError(
                f"min_healthy: found {self.min_healthy:g}, expected less than verify_timeout,"
                f" which is {self.verify_timeout:g}"
            )

    @property
    def count_floor(self) -> Amount:
        """How many servers must stay in rotation, whatever their load."""
        return COUNT_FLOOR if self.min_available == "load" else self.min_available


def _check(name: str, amount: Amount, *, least: int) -> None:
    try:
        number = resolve_count(amount, 100)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if number < least:
        raise ValueError(f"{name}: found {amount!r}, expected at least 1 or 1%")


def resolve_count(amount: Amount, total: int, *, up: bool = False) -> int:
    """Return the number of nodes that an amount means.

    Args:
        amount: a number, or a percentage such as "30%".
        total: what the percentage is of.
        up: round up (floors do: half of 3 is 2); otherwise down (batches do, as in Ansible).

    Raises:
        ValueError: neither a number of 0 or more nor a percentage from 0 to 100.
    """
    if isinstance(amount, int):
        if amount < 0:
            raise ValueError(f"found {amount}, expected 0 or more, or a percentage")
        return amount
    text = amount.strip()
    digits = text.removesuffix("%").strip()
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(f'found {amount!r}, expected a number or a percentage such as "30%"')
    number = int(digits)
    if not text.endswith("%"):
        return number
    if number > 100:
        raise ValueError(f"found {amount!r}, expected at most 100%")
    product = number * total
    return -(-product // 100) if up else product // 100


class Freeze(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One `[[freeze]]` table: weekly with `days`, or once.

    Attributes:
        days: the days on which it begins, each week.
        begin: `from` in the configuration: "18:00" with days (default: midnight), a date with a time without.
        end: `to` in the configuration, likewise; a time that is not later than `from` means the next day.
        timezone: such as "Europe/Berlin"; default: the machine's.
        reason: why; it is shown with a refusal.
    """

    reason: str
    days: list[Day] = []
    begin: Any = msgspec.field(default=None, name="from")
    end: Any = msgspec.field(default=None, name="to")
    timezone: str = ""

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("reason: found an empty text, expected a reason")
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
        for offset in (-2, -1, 0, 1):  # yesterday's window may not be over, and clocks may be put back
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
        """Return the earliest and the latest moment at which clocks there show this time, or would."""
        wall = datetime.combine(day, clock)
        here = wall if wall.tzinfo else wall.replace(tzinfo=_zone(self.timezone))
        moments = [here.replace(fold=fold).timestamp() for fold in (0, 1)]
        return min(moments), max(moments)


@dataclass(frozen=True, slots=True)
class Frozen:
    """The freeze at a moment that is in at least one window."""

    until: float | None  # seconds since 1970, when no window follows any more; None: no end is near
    reason: str  # of the window that ends last, among those of the moment itself
    timezone: str

    def text(self, at: float) -> str:
        """Describe until when and why, as seen at this moment."""
        if self.until is None:
            return f"frozen, with no end in the next {MAX_DAYS_AHEAD} days: {self.reason}"
        zone = _zone(self.timezone)
        end = datetime.fromtimestamp(self.until, zone)
        day = f"{DAYS[end.weekday()].capitalize()} "
        if self.until - at > 6 * 86400:  # the same weekday comes before
            day += f"{end:%Y-%m-%d} "
        where = f" ({self.timezone})" if self.timezone else ""
        return f"frozen until {day}{end:%H:%M}{where}: {self.reason}"


def find_freeze(freezes: Sequence[Freeze], at: float) -> Frozen | None:
    """Return the freeze at a moment (seconds since 1970), to the end of the last adjoining window."""
    now = [(window[1], freeze) for freeze in freezes if (window := freeze.window(at))]
    if not now:
        return None
    until, last = max(now, key=lambda found: found[0])
    weekly_since = at if last.days else until
    while following := [(window[1], freeze) for freeze in freezes if (window := freeze.window(until))]:
        until, longest = max(following, key=lambda found: found[0])
        if not longest.days:
            weekly_since = until
        if until - at > MAX_DAYS_AHEAD * 86400 or until - weekly_since > _MAX_WEEKLY_DAYS * 86400:
            return Frozen(None, last.reason, last.timezone)
    return Frozen(until, last.reason, last.timezone)


def _clock(name: str, value: object) -> time:
    """Return a time of day, from "18:00" or TOML's own 18:00:00; midnight when it is left out."""
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
    """Return the time zone of this name; None is the machine's own."""
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, LookupError):
        raise ValueError(
            f'timezone: found {name[:80]!r}, expected a name such as "Europe/Berlin" or nothing'
        ) from None


WITHOUT_TRIAL: dict[str, Any] = {"bake_time": 0.0, "ramp": []}
"""Changes of the policy for the way back to a version that is known to be healthy: it is not tried again."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application: what a rollout or a manual change works on."""

    name: str
    nodes: tuple[Node, ...]
    balancer_group: BalancerGroup
    policy: Policy
    match: Match = "name"
    ignored_backends: tuple[str, ...] = ()  # where nodes are left in rotation
    hooks: tuple[Hook, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    canary: CanarySettings = field(default_factory=CanarySettings)
    calibrated_m: float | None = None  # the size of bursts of errors that `rolldeck calibrate` has learned
    has_health_check: bool = True  # without one, Rolldeck only checks that the port is open
