"""A server of a fake HAProxy: its states, its checks and its counters.

It follows what was measured on real ones: leaving maintenance sets the health to `rise`, so that the status
is "UP" or "UP 1/3" at once; `health down` never recovers without checks; an agent acts even in MAINT.
"""

import asyncio
from typing import TYPE_CHECKING

from backends.model import NO_LOAD, Admin, ListedSession, Operational, RequestCounters, Server, ServerRef
from tests.support.fake_node import FakeNode

if TYPE_CHECKING:
    from collections.abc import Callable

MAINT, DRAIN = Admin.FORCED_MAINT, Admin.FORCED_DRAIN
# Flags are slow to combine, and the properties look at servers a million times.
FORCED = MAINT | DRAIN
ANY_MAINT, ANY_DRAIN = MAINT | Admin.INHERITED_MAINT, DRAIN | Admin.INHERITED_DRAIN
ANY_OUT = ANY_MAINT | ANY_DRAIN


class FakeServer:
    """Attributes are how it is; times are seconds."""

    def __init__(self, ref: ServerRef, node: FakeNode) -> None:
        self.ref = ref
        self.node = node
        self.admin = Admin.NONE
        self.weight = self.initial_weight = 1
        self.inter, self.rise, self.fall = 1.0, 2, 3
        self.has_checks = True
        self.health = self.full
        self.up = True
        self.slow_start = 0.0
        self.ramp_ends = 0.0
        self.agent_configured = self.agent = False
        self.agent_says = ""  # "ready": puts it in rotation, also out of maintenance
        self.backup = False
        self.track_target: FakeServer | None = None
        self.cookie = ""
        self.sticky = 0  # clients with a cookie: they stay until maintenance moves them
        self.leaving: list[float] = []  # when each session in flight ends
        self.older_by = 0.0  # seconds by which its sessions are older than the virtual time
        self.queue = 0
        self.requests = self.errors_5xx = 0
        self.resets = 0  # requests without an answer, each counted twice as in 3.x
        self.http = True
        self.gives_5xx = False  # one at each check interval while in rotation
        self.proofs = 0  # how often its health was set down
        self.address = ""  # that HAProxy has; by default its node's
        self.emptied = False  # a slot whose record is gone
        self.share: Callable[[], int] = lambda: 0  # sessions that balanced traffic gives it now
        self.load = NO_LOAD

    @property
    def full(self) -> int:
        return self.rise + self.fall - 1

    # -- what commands do ---------------------------------------------------------------------

    def set_state(self, wanted: str) -> None:
        was_maint = bool(self.admin & MAINT)
        self.admin &= ~FORCED
        self.admin |= {"maint": MAINT, "drain": DRAIN, "ready": Admin.NONE}[wanted]
        if self.admin & MAINT:
            if not was_maint and self.sticky:
                self.leaving += [self._now() + 0.5] * self.sticky
                self.sticky = 0
            self.up, self.health = False, 0
        elif was_maint:
            self._come_up(self.rise)

    def health_down(self) -> None:
        self.proofs += 1
        self.up, self.health = False, 0

    def reload(self) -> None:
        """A new process that knows nothing of what was set at run time."""
        self.admin &= ~FORCED
        self.weight = self.initial_weight
        self.agent = self.agent_configured
        self.requests = self.errors_5xx = self.resets = 0
        self._come_up(self.rise)

    # -- what time does -----------------------------------------------------------------------

    def begin(self) -> None:
        """Check, now and at each interval, as long as the loop runs."""
        loop = asyncio.get_running_loop()
        if self.agent and self.agent_says == "ready" and self.admin & FORCED:
            self.set_state("ready")
        if self.has_checks and not self.admin & MAINT:
            self.check()
        if self.gives_5xx and self.seen().in_rotation:
            self.errors_5xx += 1
        loop.call_later(self.inter, self.begin)

    def check(self) -> None:
        """One health check, with HAProxy's counting."""
        if self.node.serving:
            if self.health < self.full:
                self.health += 1
            if not self.up and self.health >= self.rise:
                self._come_up(self.full)
        elif self.up:
            self.health -= 1
            if self.health < self.rise:
                self.up, self.health = False, 0
        else:
            self.health = 0

    def _come_up(self, health: int) -> None:
        self.up, self.health = True, health
        if self.slow_start:
            self.ramp_ends = self._now() + self.slow_start

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # -- what it shows ------------------------------------------------------------------------

    @property
    def sessions(self) -> int:
        if not self.leaving:
            return self.sticky + self.share()
        now = self._now()
        return sum(end > now for end in self.leaving) + self.sticky + self.share()

    @property
    def serves(self) -> bool:
        """Whether balanced traffic comes to it."""
        return self.up and not self.whole_admin & ANY_OUT and self.weight > 0 and not self.backup

    def list_sessions(self) -> list[ListedSession]:
        """Ids are places in `leaving`, and after those the clients with a cookie."""
        now, (backend, server) = self._now(), (self.ref.backend, self.ref.server)
        places = [place for place, end in enumerate(self.leaving) if end > now]
        places += [0xF000 + number for number in range(self.sticky)]
        base = sum(server.encode()) << 16
        return [
            ListedSession(backend, server, f"0x{base + place:x}", int(now + self.older_by))
            for place in places
        ]

    def shut_down(self, session: str) -> bool:
        """End one session by its id, if it is one of this server's."""
        for listed in self.list_sessions():
            if listed.id == session:
                place = int(session, 16) & 0xFFFF
                if place >= 0xF000:
                    self.sticky -= 1
                else:
                    self.leaving[place] = self._now()
                return True
        return False

    @property
    def source(self) -> "FakeServer":
        """Whose health it has: at the end of all that is tracked."""
        return self.track_target.source if self.track_target else self

    @property
    def whole_admin(self) -> Admin:
        """With what it inherits, through as many servers as there are."""
        if not self.track_target:
            return self.admin
        followed = self.track_target.whole_admin
        if followed & ANY_MAINT:
            return self.admin | Admin.INHERITED_MAINT
        if followed & ANY_DRAIN:
            return self.admin | Admin.INHERITED_DRAIN
        return self.admin

    def status(self, admin: Admin) -> str:
        if admin & Admin.RESOLUTION_MAINT and not admin & MAINT:
            return "MAINT (resolution)"
        if admin & ANY_MAINT:
            return (
                "MAINT"
                if admin & MAINT or not self.track_target
                else f"MAINT (via {self.track_target.ref.server})"
            )
        if not self.has_checks and not self.track_target:
            return "DRAIN" if admin & DRAIN else "no check"
        source = self.source
        word = "DRAIN" if admin & ANY_DRAIN and source.up else "UP"
        if not source.up:
            return f"DOWN {source.health}/{source.rise}" if source.health else "DOWN"
        if source.health == source.full:
            return word
        return f"{word} {source.health - source.rise + 1}/{source.fall}"

    @property
    def counters(self) -> RequestCounters:
        if not self.http:
            return RequestCounters(total=self.requests, http=False)
        answered = self.requests + self.errors_5xx
        return RequestCounters(
            total=answered + self.resets,
            answered=answered,
            answered_5xx=self.errors_5xx,
            broken=2 * self.resets,
            in_flight=self.sessions,
        )

    def seen(self) -> Server:
        """As HAProxy's replies, joined, would have it."""
        admin, up = self.whole_admin, self.up
        if self.track_target:
            up = self.source.up
        elif not self.has_checks:
            up = not admin & MAINT
        if self.emptied:
            admin, up = admin | Admin.RESOLUTION_MAINT, False
        ramp = self.ramp_ends - self._now()
        out = admin & ANY_OUT
        ramping = self.slow_start > 0 and ramp > 0 and not out
        return Server(
            ref=self.ref,
            address="" if self.emptied else self.address or self.node.name,
            port=80,
            admin=admin,
            operational=Operational.RUNNING if up else Operational.STOPPED,
            status=self.status(admin),
            weight=self.weight,
            initial_weight=self.initial_weight,
            effective_weight=0 if out else self.weight,
            has_checks=self.has_checks,
            check_status=("L7OK" if self.node.serving else "L4CON") if self.has_checks else "",
            check_health=self.health if self.has_checks else 0,
            check_rise=self.rise if self.has_checks else 0,
            check_fall=self.fall if self.has_checks else 0,
            check_code="",
            check_duration=None,
            check_failures=0,
            last_check="",
            agent=self.agent,
            agent_configured=self.agent_configured,
            agent_status="",
            last_agent="",
            track_target=f"{self.track_target.ref.backend}/{self.track_target.ref.server}"
            if self.track_target
            else "",
            backup=self.backup,
            cookie=self.cookie,
            sessions=self.sessions,
            queue=self.queue,
            throttle=max(1, int(100 - 100 * ramp / self.slow_start)) if ramping else None,
            last_change=0,
            counters=self.counters,
            response_time=None,
            empty_slot=self.emptied,
            load=self.load,
        )
