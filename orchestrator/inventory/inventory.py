"""The nodes of an application while a session is open.

A change in the source takes effect at once, except during a rollout, whose plan must not change: then the
difference is reported, and a decision is requested before the next node.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from backends.errors import BackendError, ConfigError
from backends.templates import check_host
from orchestrator.background import Activity
from orchestrator.errors import JournalError
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.inventory.resolver import InventoryResolver
from orchestrator.inventory.source import FoundNode, NodeSettings, NodeSource, check_nodes
from orchestrator.journal.unfinished import UnfinishedNode
from orchestrator.node import Node
from orchestrator.planning.findings import Finding
from orchestrator.remote.takeover import Endpoint

PAUSES_S = (1.0, 2.0, 5.0, 10.0)  # seconds before the source is asked again after a failure
FRESH_S = 60.0  # seconds for which the header names what came and went
MAX_NAMED = 3  # nodes that are named when they come or go; of more, only the number is shown

Unfinished = Callable[[], Mapping[str, UnfinishedNode]]


class Inventory:
    """The nodes of a source that never changes; load balancers may still add some.

    Args:
        nodes: that are known so far.
        resolver: knows all of them, once every load balancer has answered; None if these are all.
        remarks: of their source, see `NodeSource`.
    """

    def __init__(
        self,
        nodes: tuple[Node, ...],
        resolver: InventoryResolver | None = None,
        remarks: Sequence[Finding] = (),
    ) -> None:
        self.remarks = tuple(remarks)
        self.nodes = nodes
        self._resolver = resolver

    async def load_all(self) -> tuple[Node, ...]:
        """Return all nodes, including those of a load balancer that answered late. Raises ConfigError."""
        if self._resolver is not None:
            self.nodes = await self._resolver.all_nodes()
        return self.nodes

    def differences(self, nodes: Sequence[Node]) -> Mapping[str, str]:
        """Describe what a rollout of these must ask about, by node ("" for all nodes)."""
        return {}

    def doubts(self) -> list[str]:
        """Return the reasons against planning with these nodes, in words."""
        return []

    def words(self) -> str:
        """Describe for the header what is different, or came and went a short while ago."""
        return ""

    def endpoints(self) -> Mapping[str, object]:
        """Return where all nodes were that were seen, for the journal, in case their source loses them."""
        return {}


class LiveInventory(Inventory):
    """The nodes of a source that changes, and that is followed.

    Args:
        source: is watched.
        resolver: makes nodes of what it says.
        nodes: those that are known so far.
        named: the settings of which they were made.
        activity: of the session. Active nodes may be gone from the source: many deregister when they stop.
        unfinished: nodes that rollouts have left unfinished; they stay, registered or not.
        bus: carries reports, and has the time.
        silent: why the source does not answer, where a monitor notices that sooner.
    """

    def __init__(
        self,
        source: NodeSource,
        resolver: InventoryResolver,
        nodes: tuple[Node, ...],
        named: Mapping[str, NodeSettings],
        activity: Activity,
        unfinished: Unfinished,
        bus: EventBus,
        silent: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(nodes, remarks=source.remarks())
        self.latest: Mapping[str, FoundNode] | None = None  # before the first look
        self._source = source
        self._nodes = resolver
        self._named = named
        self._seen = dict(named)  # all nodes that were, as they were last
        self._activity = activity
        self._unfinished = unfinished
        self._bus = bus
        self._clock = bus.clock
        self._absent: frozenset[str] = frozenset()  # left by a rollout, and gone from the source
        self._failure = ""  # why the source could not be asked
        self._silent = silent or (lambda: self._failure)
        self._reported: Mapping[str, str] = {}  # differences that were reported and are not taken over
        self._wrong = ""  # why what the source has cannot be used
        self._changes = ""  # what came and went last
        self._changed = 0.0  # when; monotonic

    async def run(self) -> None:
        """Follow the source until cancelled."""
        failed = 0
        while (watching := self._source.watch()) is not None:
            try:
                async with aclosing(watching) as states:
                    async for found in states:
                        await self._take(found)
                        self._wrong, self._failure, failed = "", "", 0
            except Exception as error:  # a defect is reported too, since it would hide all that is new
                if isinstance(error, BackendError):
                    self._failure = error.problem
                else:  # it answers, and what it has cannot be used
                    self._tell_of_wrong(str(error) if isinstance(error, ConfigError) else repr(error))
            await self._clock.sleep(PAUSES_S[min(failed, len(PAUSES_S) - 1)])
            failed += 1

    async def load_all(self) -> tuple[Node, ...]:
        """See `Inventory`; including unfinished nodes that are gone from the source."""
        self.nodes = await self._resolved()
        return self.nodes

    async def _resolved(self) -> tuple[Node, ...]:
        if self._activity.is_rolling:
            return await self._nodes.all_nodes()
        # A source without any node may have lost its data: then the previous nodes are kept.
        named = self._named = check_nodes(self.latest or {}) or self._named
        self._seen |= named
        # Many deregister when they stop: their endpoint is the previous one, or that in HAProxy.
        left = {name: node for name, node in self._left().items() if name not in named}
        self._absent = frozenset(left)
        if left:
            self._nodes.replace(dict(sorted({**named, **left}.items())))
            with contextlib.suppress(ConfigError):  # HAProxy does not know it either
                return await self._nodes.all_nodes()
        self._nodes.replace(named)
        return await self._nodes.all_nodes()

    def _left(self) -> dict[str, NodeSettings]:
        try:
            left = self._unfinished()
        except JournalError:
            return {}  # a plan says so
        return {name: self._seen.get(name) or read_endpoint(node) for name, node in left.items()}

    async def _take(self, found: Mapping[str, FoundNode]) -> None:
        self.latest = found
        differences = self._differences(self.nodes)
        self._tell(differences)
        if differences and found and not self._activity.is_rolling:
            await self.load_all()
            self._reported = {}

    def differences(self, nodes: Sequence[Node]) -> Mapping[str, str]:
        """See `Inventory`."""
        return self._differences(nodes) if self._source.confirms_changes else {}

    def doubts(self) -> list[str]:
        """See `Inventory`."""
        name, texts = self._source.name, list[str]()
        if silent := self._silent():
            texts.append(f"{name} does not answer, the previous nodes are kept: {silent}")
        if self._wrong:
            texts.append(f"the data of {name} cannot be used, the previous nodes are kept: {self._wrong}")
        elif self.nodes and not self.latest and self._reported:
            texts.append(f"{self._lost}; the previous nodes are kept")
        return texts

    def words(self) -> str:
        """See `Inventory`."""
        if self._wrong:
            return self._wrong
        if self._reported:
            return self._changes if "" in self._reported else f"{self._changes}; not in the plan"
        age = self._clock.monotonic() - self._changed
        return f"{self._changes}, {age:.0f} s ago" if self._changes and age < FRESH_S else ""

    def endpoints(self) -> Mapping[str, object]:
        """See `Inventory`."""
        return {
            name: msgspec.to_builtins(Endpoint(address=node.address, port=node.port, ssh=node.ssh))
            for name, node in self._seen.items()
        }

    @property
    def _lost(self) -> str:
        return f"{self._source.name} has no instances any more: it may have lost its data"

    def _differences(self, nodes: Sequence[Node]) -> Mapping[str, str]:
        if self.latest is None:
            return {}
        if nodes and not self.latest:
            return {"": self._lost}
        source = self._source.name
        here = {node.name: node for node in nodes}
        texts = {name: f"{source} does not have {name} any more" for name in here.keys() - self._absent}
        for name, found in self.latest.items():
            texts.pop(name, None)
            if (node := here.get(name)) is None:
                texts[name] = f"{source} has {name} now, which is not in the plan"
            elif found.port not in (0, node.port) or found.address not in node.addresses:
                texts[name] = f"{name} is at {found.address}:{found.port} in {source} now"
        active = self._activity.active_nodes()
        return {name: text for name, text in texts.items() if name not in active}

    def _tell(self, differences: Mapping[str, str]) -> None:
        """Report what is new among the differences; one that was gone may be reported again."""
        if new := {name: text for name, text in differences.items() if self._reported.get(name) != text}:
            self._note(f"{self._source.name}: {self._summary(new)}")
            self._changes, self._changed = self._summary(differences), self._clock.monotonic()
        self._reported = differences

    def _summary(self, differences: Mapping[str, str]) -> str:
        """Return a text such as `web9 came, web2 went`."""
        if "" in differences:
            return differences[""]
        known = {node.name for node in self.nodes}
        here = differences.keys() & (self.latest or {}).keys()
        parts = (("came", here - known), ("moved", here & known), ("went", differences.keys() - here))
        return ", ".join(f"{_shorten_names(sorted(names))} {what}" for what, names in parts if names)

    def _tell_of_wrong(self, why: str) -> None:
        if why != self._wrong:
            self._note(f"what {self._source.name} has now cannot be used: {why}")
        self._wrong = why

    def _note(self, text: str) -> None:
        with contextlib.suppress(Exception):  # an unwritable journal stops the rollout, not this task
            self._bus.emit(NodeNote(node="", text=text))


def read_endpoint(left: UnfinishedNode) -> NodeSettings:
    """Return the endpoint of a node in its plan, which another machine may have written."""
    try:
        found = msgspec.convert(left.entry.plan["places"][left.node], Endpoint)
        for what, value in (("address", found.address), ("ssh", found.ssh or found.address)):
            check_host(f"{what} of {left.node}", value)
    except (KeyError, TypeError, msgspec.ValidationError, ConfigError):
        return NodeSettings()  # HAProxy tells it
    return NodeSettings(address=found.address, port=found.port, ssh=found.ssh)


def _shorten_names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= MAX_NAMED else f"{len(names)} nodes"
