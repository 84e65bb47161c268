"""A registry without a Consul: one node in it, with faults on demand."""

from backends.command import Command
from backends.model import Registered
from tests.support.fake_faults import Faults


class FakeRegistration:
    """Implements `Registration`. Everything observable is an attribute."""

    place = "Consul"
    leaves = True

    def __init__(self, *, gate: bool = False) -> None:
        self.gate = gate
        self.faults = Faults()
        self.there = True
        self.reason = ""  # of its maintenance
        self.doubts: tuple[str, ...] = ()
        self.deaf = False  # it says yes, and nothing changes
        self.asked: list[str] = []

    async def look(self) -> Registered:
        return await self.faults.around("look", self._seen)

    def _seen(self) -> Registered:
        return Registered(
            there=self.there,
            maintenance=self.reason,
            by_rollout=self.reason == "rollout",
            by_hand=self.reason == "by hand",
            doubts=self.doubts,
        )

    async def check(self) -> None:
        await self.faults.around("check", lambda: None)

    def leave_command(self, *, by_hand: bool = False) -> Command:
        return Command(("maint", "-enable"))

    def return_command(self) -> Command:
        return Command(("maint", "-disable"))

    async def leave(self, *, by_hand: bool = False) -> None:
        await self._set("leave", "by hand" if by_hand else "rollout")

    async def come_back(self) -> None:
        await self._set("come back", "")

    async def _set(self, what: str, reason: str) -> None:
        def do() -> None:
            self.asked.append(what)
            if not self.deaf:
                self.reason = reason

        await self.faults.around(what, do)
