"""The inventory that Consul has, followed while a session is open.

What is new there is taken over at once, but not while something is rolled out: a plan is not to change under
an operator's feet. What is different then is told, and asked about before the next node.
"""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from backends.consul.catalog import ConsulService, Instance, instances
from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.protocols import Clock
from orchestrator.bus import Bus
from orchestrator.events import NodeNote
from orchestrator.node import Node

WAIT = 30.0  # seconds that one look may block; Consul sends all of it again after that
PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds before it is asked again that could not be asked
FRESH = 60.0  # seconds for which the header names what came and went
NAMED = 3  # of what came or went; of more, how many
LOST = "Consul has no instance at all any more: it may have lost its data"


class ConsulInventory:
    """Follows one service.

    Args:
        consul: is asked.
        service: the nodes are instances of it.
        clock: the time.
        bus: carries what is told.
        nodes: the session's.
        absent: those of them that were not registered any more when they were taken over.
        at_work: those that are worked on now: many deregister when they are stopped.
        adopt: takes over what there is now; returns False when that has to wait. Raises ConfigError.
    """

    def __init__(
        self,
        consul: Consul,
        service: ConsulService,
        clock: Clock,
        bus: Bus,
        nodes: Callable[[], Sequence[Node]],
        absent: Callable[[], Collection[str]],
        at_work: Callable[[], Collection[str]],
        adopt: Callable[[], Awaitable[bool]],
    ) -> None:
        self.latest: Mapping[str, Instance] | None = None  # before the first look
        self._consul = consul
        self._service = service
        self._clock = clock
        self._bus = bus
        self._nodes = nodes
        self._absent = absent
        self._at_work = at_work
        self._adopt = adopt
        self._told: Mapping[str, str] = {}  # differences that were told and are not taken over
        self._wrong = ""  # why it cannot be used
        self._changes = ""  # what came and went last
        self._changed = 0.0  # when; monotonic

    async def run(self) -> None:
        """Until cancelled."""
        index, failed = 0, 0
        while True:
            try:
                index, found = await instances(self._consul, self._service, index, WAIT)
                await self._take(found)
                self._wrong = ""
            except Exception as error:  # a defect too is told: nothing new would ever be seen after it
                if not isinstance(error, BackendError):  # it answers, and what it has cannot be used
                    self._tell_of_wrong(str(error) if isinstance(error, ConfigError) else repr(error))
                index = 0
                await self._clock.sleep(PAUSES[min(failed, len(PAUSES) - 1)])
                failed += 1
                continue
            failed = 0

    async def _take(self, found: Mapping[str, Instance]) -> None:
        self.latest = found
        differences = self._differences(self._nodes())
        self._tell(differences)
        if differences and found and await self._adopt():
            self._told = {}

    def differences(self, nodes: Sequence[Node]) -> dict[str, str]:
        """What is to be asked about in a rollout of these, by node ("" for all of it), in words."""
        return self._differences(nodes) if self._service.on_change == "confirm" else {}

    def doubt(self) -> str:
        """Why a plan may not be made of what Consul has now, in words; empty when it is."""
        if self._wrong:
            return f"what Consul has cannot be used, the nodes are those of before: {self._wrong}"
        lost = self._nodes() and not self.latest and self._told
        return f"{LOST}; the nodes are those of before" if lost else ""

    def words(self) -> str:
        """For the header: what is different, or came and went a short while ago."""
        if self._wrong:
            return self._wrong
        if self._told:
            return self._changes if "" in self._told else f"{self._changes}; not in the plan"
        age = self._clock.monotonic() - self._changed
        return f"{self._changes}, {age:.0f} s ago" if self._changes and age < FRESH else ""

    def _differences(self, nodes: Sequence[Node]) -> dict[str, str]:
        if self.latest is None:
            return {}
        if nodes and not self.latest:
            return {"": LOST}
        here = {each.name: each for each in nodes}
        texts = {name: f"Consul does not have {name} any more" for name in here.keys() - self._absent()}
        for name, each in self.latest.items():
            texts.pop(name, None)
            if (node := here.get(name)) is None:
                texts[name] = f"Consul has {name} now, which is not in the plan"
            elif each.port not in (0, node.port) or each.address not in node.addresses:
                texts[name] = f"{name} is at {each.address}:{each.port} in Consul now"
        at_work = self._at_work()
        return {name: text for name, text in texts.items() if name not in at_work}

    def _tell(self, differences: Mapping[str, str]) -> None:
        """Say what is new among them; one that has gone may be said again."""
        if new := {name: text for name, text in differences.items() if self._told.get(name) != text}:
            self._note(f"Consul: {self._summary(new)}")
            self._changes, self._changed = self._summary(differences), self._clock.monotonic()
        self._told = differences

    def _summary(self, differences: Mapping[str, str]) -> str:
        """Such as `web9 came, web2 went`."""
        if "" in differences:
            return differences[""]
        known = {each.name for each in self._nodes()}
        here = differences.keys() & (self.latest or {}).keys()
        parts = (("came", here - known), ("moved", here & known), ("went", differences.keys() - here))
        return ", ".join(f"{_few(sorted(names))} {what}" for what, names in parts if names)

    def _tell_of_wrong(self, why: str) -> None:
        if why != self._wrong:
            self._note(f"what Consul has now cannot be used: {why}")
        self._wrong = why

    def _note(self, text: str) -> None:
        with contextlib.suppress(Exception):  # a journal that cannot be written stops who works, not us
            self._bus.emit(NodeNote(node="", text=text))


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} nodes"
