"""The differences between two plans, or two impacts of a manual change, as data; texts are for people."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backends.model import ServerRef
from orchestrator.engine.manual_change import Impact
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan, PlannedNode


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that has changed since a plan was made, or a manual change was shown.

    Attributes:
        subject: the node, or the application.
        what: what has changed, such as "running" or "shop/web1 on lb1".
        before: the value before; empty for nothing.
        now: the value now; empty for nothing.
        beyond: whether more would be done now than somebody has agreed to.
    """

    subject: str
    what: str
    before: str
    now: str
    beyond: bool = False

    def __str__(self) -> str:
        return f"{self.subject}: {self.change}"

    @property
    def change(self) -> str:
        """What has changed, and how."""
        return f"{self.what}: {self.before or 'nothing'} → {self.now or 'nothing'}"


def compare_plans(before: Plan, now: Plan) -> tuple[Difference, ...]:
    """Compare what decides about a rollout: versions, original states, weights, unfinished nodes, steps."""
    return tuple(_differences(before, now))


def compare_impacts(before: Impact, now: Impact) -> tuple[Difference, ...]:
    """Compare what decides about a manual change: states, weights, floors and followers."""
    old, new = (
        {server.ref: OriginalState.of(server) for server in impact.servers} for impact in (before, now)
    )
    found = [
        Difference(ref.server, str(ref), _original_text(old.get(ref)), _original_text(new.get(ref)))
        for ref in dict.fromkeys((*old, *new))
        if not _same(old.get(ref), new.get(ref))
    ]
    broken = {(capacity.instance, capacity.backend) for capacity in before.broken}
    found += [
        Difference(", ".join(now.nodes), "capacity", "allowed", str(capacity))
        for capacity in now.broken
        if (capacity.instance, capacity.backend) not in broken
    ]
    followers = [_refs_text(impact.followers) for impact in (before, now)]
    found += _if_different(", ".join(now.nodes), "also affects", *followers)
    registries = [", ".join(impact.registries) for impact in (before, now)]
    return (*found, *_if_different(", ".join(now.nodes), "follows", *registries))


def _differences(before: Plan, now: Plan) -> Iterator[Difference]:
    if before.version != now.version:
        yield Difference(now.application, "version", before.version, now.version, beyond=True)
    old, new = ({node.name: node for node in plan.nodes} for plan in (before, now))
    for name in dict.fromkeys((*old, *new)):
        was, is_ = old.get(name), new.get(name)
        if was is None or is_ is None:
            beyond = is_ is not None and bool(is_.steps)
            yield Difference(name, "node", "there" if was else "", "there" if is_ else "", beyond)
            continue
        yield from _node_differences(was, is_)
        if before.target_version(name) != now.target_version(name):
            yield Difference(
                name, "target version", before.target_version(name), now.target_version(name), beyond=True
            )


def _node_differences(was: PlannedNode, now: PlannedNode) -> Iterator[Difference]:
    for ref in dict.fromkeys((*was.originals, *now.originals)):
        before, after = was.originals.get(ref), now.originals.get(ref)
        if not _same(before, after):
            yield Difference(was.name, str(ref), _original_text(before), _original_text(after))
    yield from _if_different(was.name, "installed", was.installed or "", now.installed or "")
    yield from _if_different(was.name, "running", was.running or "", now.running or "")
    yield from _if_different(
        was.name,
        "unfinished rollout",
        _rollout_text(was.unfinished_rollout),
        _rollout_text(now.unfinished_rollout),
    )
    yield from _if_different(was.name, "command that may still run", _command_text(was), _command_text(now))
    yield from _if_different(was.name, "steps", ", ".join(was.steps), ", ".join(now.steps))
    if was.followers != now.followers:
        more = bool(set(now.followers).difference(was.followers))
        yield Difference(was.name, "also affects", _refs_text(was.followers), _refs_text(now.followers), more)


def _refs_text(refs: Iterable[ServerRef]) -> str:
    return ", ".join(map(str, refs))


def _if_different(subject: str, what: str, before: str, now: str) -> Iterator[Difference]:
    if before != now:
        yield Difference(subject, what, before, now)


def _same(before: OriginalState | None, now: OriginalState | None) -> bool:
    if before is None or now is None:
        return before is now
    # An agent check keeps changing the weight: that is nobody's decision.
    weighs = before.weight == now.weight or (before.agent and now.agent)
    return (before.admin, before.agent) == (now.admin, now.agent) and weighs


def _original_text(original: OriginalState | None) -> str:
    if original is None:
        return ""
    return f"{original.admin}, weight {original.weight}{', agent check' if original.agent else ''}"


def _command_text(node: PlannedNode) -> str:
    return (
        f"process {node.running_command.pid} on {node.running_command.target}"
        if node.running_command is not None
        else ""
    )


def _rollout_text(entry: int) -> str:
    return str(entry) if entry else ""
