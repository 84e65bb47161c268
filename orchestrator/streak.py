"""Own health, several looks in a row."""

import contextlib
from dataclasses import replace

from backends.errors import BackendError
from backends.model import Activity, HealthResult
from orchestrator.errors import StepFailed
from orchestrator.work import Work, both


class Streak:
    """Counts looks at a node's own health, at most one each `health_interval`.

    One good look proves little: a service that dies at once and is restarted looks well for half a second.
    """

    def __init__(self, work: Work, *, asks_manager: bool = True) -> None:
        """
        Args:
            work: of the node.
            asks_manager: False where nothing was done to its service: its host may hang, and health decides.
        """
        self._work = work
        self._asks_manager = asks_manager
        self._next = work.control.worked()
        self._wrong_version = 0
        self._good_since = self._good_until = self._next  # the first and the last good look in a row
        self.reason = "not looked yet"
        self.good = 0  # good looks in a row, so far
        self.bad = 0
        self._stays = not asks_manager  # it is not being stopped, as far as its manager says

    @property
    def needed(self) -> int:
        return self._work.node.health_successes

    @property
    def lasted_s(self) -> float:
        """Seconds from the first good look in a row to the last one, without those spent paused."""
        return self._good_until - self._good_since if self.good else 0.0

    async def look(self, *, at_once: bool = False) -> str | None:
        """Look, if it is time to. None when enough looks in a row were good, else why not.

        Args:
            at_once: look now, although the last look is not `health_interval` old.

        Raises:
            StepFailed: healthy several times in a row, but it is another version that runs.
        """
        if at_once or self._work.control.worked() >= self._next:
            await self._look()
            self._next = self._work.control.worked() + self._work.node.health_interval
        if self.good >= self.needed:
            return await self._being_stopped()
        return f"own health: {self.reason} ({self.good}/{self.needed})"

    async def _being_stopped(self) -> str | None:
        """Why a service that is well may be killed in a moment, in words; not asked again once it is not."""
        if self._stays:
            return None
        with contextlib.suppress(BackendError):  # that its manager cannot be asked is no failure here
            state = await self._work.node.service.state()
            if state.stopping:
                return f"its service is being stopped ({state.detail})"
        self._stays = True
        return None

    async def _look(self) -> None:
        result = await self._health()
        wanted = None if self._work.wanted is None else self._work.node.called(self._work.wanted)
        other = result.ok and wanted is not None and result.version not in (None, wanted)
        if other:
            self.reason = f"{result.version} runs, expected {wanted}"
            self._wrong_version += 1
            if self._wrong_version >= self.needed:
                raise StepFailed(f"healthy, but {self.reason}")
        else:
            self.reason = result.detail
            self._wrong_version = 0
        if result.ok and not other:
            self._good_until = self._work.control.worked()
            if not self.good:
                self._good_since = self._good_until
            self.good, self.bad = self.good + 1, 0
        else:
            self.good, self.bad = 0, self.bad + 1

    async def _health(self) -> HealthResult:
        """Own health and, where the service manager checks that too, what it has found; seen side by side."""
        node = self._work.node
        if not self._asks_manager or self._work.self_checked is False:
            return await node.health.look()
        result, doubt = await both(node.health.look(), self._doubt())
        return replace(result, ok=False, detail=doubt) if result.ok and doubt else result

    async def _doubt(self) -> str:
        """What the service manager has against its health, in words; empty where it does not check that."""
        work = self._work
        try:
            state = await work.node.service.state()
        except BackendError as error:
            problem = f"its service manager cannot be asked: {error.beside(work.node.name)}"
            if work.by_hand and work.self_checked is None:  # whoever decides may know better
                work.self_checked = False
                work.note(f"{problem}; whether that finds it healthy is unknown")
                return ""
            return problem
        work.self_checked = state.self_checked
        if not state.self_checked or state.activity is Activity.RUNNING:
            return ""
        return f"service is {state.detail or state.activity}"
