"""The nodes of an application while a session is open.

What is new in a source that changes is taken over at once, but not while something is rolled out: a plan is
not to change under an operator's feet. What is different then is told, and asked about before the next node.
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
from orchestrator.inventory.source import FoundNode, NodeSettings, NodeSource, checked_nodes
from orchestrator.journal.unfinished import UnfinishedNode
from orchestrator.node import Node
from orchestrator.planning.findings import Finding
from orchestrator.remote.takeover import Endpoint

PAUSES_S = (1.0, 2.0, 5.0, 10.0)  # before a source is asked again that could not be asked
FRESH_S = 60.0  # for which the header names what came and went
NAMED = 3  # of what came or went; of more, how many

Unfinished = Callable[[], Mapping[str, UnfinishedNode]]


class Inventory:
    """Nodes of a source that never changes; load balancers may still tell of some.

    Args:
        nodes: that are known so far.
        resolver: knows all of them, once every load balancer has answered; None: these are all.
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
        """All nodes, those of a load balancer too that answered late. Raises ConfigError."""
        if self._resolver is not None:
            self.nodes = await self._resolver.all_nodes()
        return self.nodes

    def differences(self, nodes: Sequence[Node]) -> Mapping[str, str]:
        """What is to be asked about in a rollout of these, by node ("" for all of it), in words."""
        return {}

    def doubts(self) -> list[str]:
        """Why a plan may not be made of these nodes, in words."""
        return []

    def words(self) -> str:
        """For the header: what is different, or came and went a short while ago."""
        return ""

    def endpoints(self) -> Mapping[str, object]:
        """Where all nodes were that were seen, for the journal: should they be gone from their source."""
        return {}


class LiveInventory(Inventory):
    """Follows a source that changes.

    Args:
        source: is watched.
        resolver: makes nodes of what it says.
        nodes: those that are known so far.
        named: the settings of which they were made.
        activity: of the session. Nodes that are worked on now may be gone: many deregister when they stop.
        unfinished: nodes that rollouts have left; those stay, registered or not.
        bus: carries what is told, and has the time.
        silent: why the source does not answer, where somebody notices that sooner than who watches it.
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
        self._told: Mapping[str, str] = {}  # differences that were told and are not taken over
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
            except Exception as error:  # a defect too is told: nothing new would ever be seen after it
                if isinstance(error, BackendError):
                    self._failure = error.problem
                else:  # it answers, and what it has cannot be used
                    self._tell_of_wrong(str(error) if isinstance(error, ConfigError) else repr(error))
            await self._clock.sleep(PAUSES_S[min(failed, len(PAUSES_S) - 1)])
            failed += 1

    async def load_all(self) -> tuple[Node, ...]:
        """See `Inventory`; with those that a rollout has left and that are gone from the source."""
        self.nodes = await self._resolved()
        return self.nodes

    async def _resolved(self) -> tuple[Node, ...]:
        if self._activity.is_rolling:
            return await self._nodes.all_nodes()
        # A source without any may have lost its data: then the nodes are those of before.
        named = self._named = checked_nodes(self.latest or {}) or self._named
        self._seen |= named
        # Many deregister when they are stopped: those have their place from before, or from HAProxy.
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
        return {name: self._seen.get(name) or endpoint_of(node) for name, node in left.items()}

    async def _take(self, found: Mapping[str, FoundNode]) -> None:
        self.latest = found
        differences = self._differences(self.nodes)
        self._tell(differences)
        if differences and found and not self._activity.is_rolling:
            await self.load_all()
            self._told = {}

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
        elif self.nodes and not self.latest and self._told:
            texts.append(f"{self._lost}; the previous nodes are kept")
        return texts

    def words(self) -> str:
        """See `Inventory`."""
        if self._wrong:
            return self._wrong
        if self._told:
            return self._changes if "" in self._told else f"{self._changes}; not in the plan"
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
        """Say what is new among them; one that has gone may be said again."""
        if new := {name: text for name, text in differences.items() if self._told.get(name) != text}:
            self._note(f"{self._source.name}: {self._summary(new)}")
            self._changes, self._changed = self._summary(differences), self._clock.monotonic()
        self._told = differences

    def _summary(self, differences: Mapping[str, str]) -> str:
        """Such as `web9 came, web2 went`."""
        if "" in differences:
            return differences[""]
        known = {node.name for node in self.nodes}
        here = differences.keys() & (self.latest or {}).keys()
        parts = (("came", here - known), ("moved", here & known), ("went", differences.keys() - here))
        return ", ".join(f"{_few(sorted(names))} {what}" for what, names in parts if names)

    def _tell_of_wrong(self, why: str) -> None:
        if why != self._wrong:
            self._note(f"what {self._source.name} has now cannot be used: {why}")
        self._wrong = why

    def _note(self, text: str) -> None:
        with contextlib.suppress(Exception):  # a journal that cannot be written stops who works, not us
            self._bus.emit(NodeNote(node="", text=text))


def endpoint_of(left: UnfinishedNode) -> NodeSettings:
    """Where its plan knew a node; whoever wrote that may have been another machine."""
    try:
        found = msgspec.convert(left.entry.plan["places"][left.node], Endpoint)
        for what, value in (("address", found.address), ("ssh", found.ssh or found.address)):
            check_host(f"{what} of {left.node}", value)
    except (KeyError, TypeError, msgspec.ValidationError, ConfigError):
        return NodeSettings()  # HAProxy tells it
    return NodeSettings(address=found.address, port=found.port, ssh=found.ssh)


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} nodes"
