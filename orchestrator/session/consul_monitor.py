"""Consul while a session is open: whether it answers, and what follows for a rollout when it does not."""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.protocols import Clock
from orchestrator.activity import Activity
from orchestrator.events.actor import ROLLDECK, Actor

if TYPE_CHECKING:
    from orchestrator.engine.control import RolloutControl

CONSUL_BACK = Actor(f"{ROLLDECK}, as Consul answers again", ROLLDECK.via)  # as who lets it go on
CHECK_INTERVAL_S = 2.0  # seconds between two looks whether it answers: a blocking query would notice late


@dataclass(frozen=True, slots=True)
class ConsulStatus:
    """Whether Consul answers.

    Attributes:
        age: seconds since it answered last.
        note: why it is stale, or what else there is to say; else empty.
    """

    state: Literal["connecting", "live", "stale"]
    age: float
    note: str


class ConsulMonitor:
    """Asks for the leader again and again.

    Args:
        consul: is asked.
        clock: the time.
        pausing: of the session whose rollout is to pause while Consul does not answer; None: none is.
    """

    def __init__(self, consul: Consul, clock: Clock, pausing: Activity | None = None) -> None:
        self._consul = consul
        self._clock = clock
        self._pausing = pausing
        self._answered = 0.0  # monotonic; 0 before the first answer
        self._why = ""  # it does not answer
        self._judged: RolloutControl | None = None  # the rollout that was paused in this outage

    def silence(self) -> str:
        """Why it does not answer; empty while it does."""
        return self._why

    def status(self, note: str = "") -> ConsulStatus:
        """Whether it answers; with what else there is to say of it while it does."""
        if not self._answered:
            return ConsulStatus("connecting", 0, self._why)
        state: Literal["stale", "live"] = "stale" if self._why else "live"
        age = self._clock.monotonic() - self._answered
        return ConsulStatus(state, age, self._why or note)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._consul.leader()
                self._answered, self._why = self._clock.monotonic(), ""
            except (BackendError, ConfigError) as error:
                self._why = error.problem
            except Exception as error:  # a defect must not leave an old answer there as a live one
                self._why = f"internal error: {error!r}"
            self._pause_or_go_on()
            await self._clock.sleep(CHECK_INTERVAL_S)

    def _pause_or_go_on(self) -> None:
        """Once in an outage: whoever lets it go on decides for the rest of that.

        What somebody else has paused, or has wanted paused since, does not go on by itself.
        """
        pausing, judged = self._pausing, self._judged
        rollout = pausing.control if pausing is not None and pausing.is_rolling else None
        with contextlib.suppress(Exception):  # a journal that cannot be written stops who works, not us
            if self._why and rollout is not None and rollout is not judged:
                self._judged = rollout
                if not rollout.paused:
                    rollout.pause(ROLLDECK, f"Consul does not answer: {self._why}")
            elif not self._why and judged is not None:
                self._judged = None
                if judged.paused and judged.paused_by == ROLLDECK:
                    judged.resume(CONSUL_BACK)
