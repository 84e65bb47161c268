"""A fake service discovery with one node in it, and faults on demand."""

from backends.command import Command
from backends.node_state import Registered
from tests.support.fake_faults import Faults


class FakeRegistration:
    """Implements `Registration`. Everything observable is an attribute."""

    name = "Consul"
    sync_maintenance = True

    def __init__(self, *, gate_on_checks: bool = False) -> None:
        self.gate_on_checks = gate_on_checks
        self.faults = Faults()
        self.exists = True
        self.reason = ""  # of its maintenance
        self.failing_checks: tuple[str, ...] = ()
        self.deaf = False  # it says yes, and nothing changes
        self.asked: list[str] = []

    async def query(self) -> Registered:
        return await self.faults.around("look", self._seen)

    def _seen(self) -> Registered:
        return Registered(
            exists=self.exists,
            maintenance=self.reason,
            set_by_rollout=self.reason == "rollout",
            set_manually=self.reason == "by hand",
            failing_checks=self.failing_checks,
        )

    async def check(self) -> None:
        await self.faults.around("check", lambda: None)

    def enable_command(self, *, manually: bool = False) -> Command:
        return Command(("maint", "-enable"))

    def disable_command(self) -> Command:
        return Command(("maint", "-disable"))

    async def enable_maintenance(self, *, manually: bool = False) -> None:
        await self._set("leave", "by hand" if manually else "rollout")

    async def disable_maintenance(self) -> None:
        await self._set("come back", "")

    async def _set(self, what: str, reason: str) -> None:
        def do() -> None:
            self.asked.append(what)
            if not self.deaf:
                self.reason = reason

        await self.faults.around(what, do)
