"""The differences between two views of the load balancers, as notices: states, checks, weights, reloads."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backends.haproxy.columns import Name
from backends.model import AdminState, Server
from backends.text import counted, format_duration
from orchestrator.events.text import format_health
from orchestrator.live.notices import Notice, Weight
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import RowIndex

MAX_NAMED = 5  # servers that change together, each with a line of its own
SILENT_FROM_S = 2.0  # seconds; a shorter silence is no news: a busy machine has them
FLAP_CHANGES, FLAP_WITHIN_S = 4, 180.0  # changes of the health of one server in so many seconds

State = tuple[str, str, int]
"""The administrative state, the health in words, and the weight of a server. Equal states are one object."""


@dataclass(slots=True)
class _BalancerStates:
    """What one load balancer said last, in the order of its rows."""

    read_at: float | None = None
    rows: RowIndex | None = None
    states: list[State] = field(default_factory=list)  # as they were read
    settled: list[State] = field(default_factory=list)  # with the last health that was known
    failing: str = ""  # as it was told
    failing_since: float | None = None
    reloaded_at: float | None = None


class ViewChanges:
    """Compares each view with the one before."""

    def __init__(self) -> None:
        self._balancers: dict[str, _BalancerStates] = {}
        self._known: dict[State, State] = {}
        self._health_changes: dict[tuple[str, Name], deque[float]] = {}

    def compare(self, view: FleetView, at: float, names: Mapping[Name, str]) -> Iterator[Notice]:
        """Yield what has changed since the view before.

        Args:
            view: of the poller.
            at: seconds since 1970.
            names: the node of each server, by backend and server name.
        """
        for instance in view.instances:
            before = self._balancers.get(instance.name)
            if before is None:
                before = self._balancers[instance.name] = _BalancerStates(reloaded_at=instance.reloaded_at)
            yield from self._compare_process(before, instance, at)
            if instance.state == "live" and instance.read_at != before.read_at:
                yield from self._compare_servers(before, instance, at, names)
                before.read_at = instance.read_at

    def _compare_process(
        self, before: _BalancerStates, instance: BalancerView, at: float
    ) -> Iterator[Notice]:
        if instance.failing:
            since = before.failing_since = at if before.failing_since is None else before.failing_since
            if instance.failing != before.failing and at - since >= SILENT_FROM_S:
                before.failing = instance.failing
                yield Notice(since, instance.name, instance.failing, "bad")
        elif before.failing_since is not None:
            if before.failing:
                silent = format_duration(at - before.failing_since)
                yield Notice(at, instance.name, f"answers again, after {silent}", "good")
            before.failing, before.failing_since = "", None
        if instance.reloaded_at != before.reloaded_at:
            before.reloaded_at = instance.reloaded_at
            pid = f" (process {instance.info.pid})" if instance.info is not None else ""
            yield Notice(at, instance.name, f"reloaded{pid}; its counters began again", "change")

    def _compare_servers(
        self, before: _BalancerStates, instance: BalancerView, at: float, names: Mapping[Name, str]
    ) -> Iterator[Notice]:
        alike = instance.columns.alike
        by_first = {first: self._state_of(instance.servers[first]) for first in set(alike)}
        states = [by_first[first] for first in alike]
        if before.rows is not instance.rows:  # servers came or went: there is nothing to compare with
            before.rows, before.states, before.settled = instance.rows, states, list(states)
            return
        known, before.states = before.states, states
        if known == states:  # nearly always, and quickly: equal states are the same object
            return
        groups: dict[str, list[tuple[Name, Weight]]] = {}
        for row, (old_state, state) in enumerate(zip(known, states, strict=True)):
            if old_state is state:
                continue
            old = before.settled[row]
            new = before.settled[row] = _settle(old, state)
            name = instance.rows.names[row]
            for text, weight in _describe(old, new):
                if old[1] != new[1]:
                    text += self._describe_flapping((instance.name, name), at)
                groups.setdefault(text, []).append((name, weight))
        yield from _build_notices(groups, instance.name, at, names)

    def _state_of(self, server: Server) -> State:
        state = server.admin_state.value, _health_of(server), server.weight
        return self._known.setdefault(state, state)

    def _describe_flapping(self, server: tuple[str, Name], at: float) -> str:
        changes = self._health_changes.setdefault(server, deque(maxlen=FLAP_CHANGES))
        changes.append(at)
        if len(changes) < FLAP_CHANGES or at - changes[0] > FLAP_WITHIN_S:
            return ""
        return f" · flaps: {FLAP_CHANGES} changes in {format_duration(at - changes[0])}"


def _health_of(server: Server) -> str:
    """Return the health; empty while it is on its way from one to another, and in maintenance."""
    if server.empty_slot or server.admin_state is AdminState.MAINT:
        return ""
    health = format_health(server)
    return "" if health.startswith("△") else health


def _settle(old: State, new: State) -> State:
    """Return the new state, with the health of before while the new one is not known."""
    return new if new[1] else (new[0], old[1], new[2])


def _describe(old: State, new: State) -> Iterator[tuple[str, Weight]]:
    if old[0] != new[0]:
        weight: Weight = "good" if new[0] == AdminState.READY.value else "change"
        yield f"{old[0]} → {new[0]}", weight
    if old[1] != new[1] and old[1]:
        # One without new traffic harms nobody; a rollout sets it down itself, so that HAProxy checks it anew.
        bad: Weight = "bad" if new[0] == AdminState.READY.value else "change"
        yield f"{old[1]} → {new[1]}", bad if new[1].startswith("▼") else "good"
    if old[2] != new[2]:
        yield f"weight {old[2]} → {new[2]}", "change"


def _build_notices(
    groups: Mapping[str, Sequence[tuple[Name, Weight]]], place: str, at: float, names: Mapping[Name, str]
) -> Iterator[Notice]:
    for text, found in groups.items():
        nodes = Counter(names.get(name, name[1]) for name, _ in found)
        weight = found[0][1]
        if len(nodes) > MAX_NAMED:
            yield Notice(at, "", f"{counted(len(found), 'server')}: {text}", weight, (place,))
            continue
        for node in nodes:
            yield Notice(at, node, text, weight, (place,))
