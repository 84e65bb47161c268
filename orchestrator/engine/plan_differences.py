"""What is not as it was when somebody looked, as data; the text is for people only."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backends.model import ServerRef
from orchestrator.engine.manual_change import Impact
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan, PlannedNode


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was, when a plan was made or a change was shown.

    Attributes:
        subject: the node, or the application.
        what: changed, such as "running" or "shop/web1 on lb1".
        before: as it was; empty for nothing.
        now: as it is; empty for nothing.
        beyond: what would be done now is more than what somebody agreed to.
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


def plan_differences(before: Plan, now: Plan) -> tuple[Difference, ...]:
    """Compare what decides about a rollout: versions, original states, weights, unfinished nodes, steps."""
    return tuple(_differences(before, now))


def impact_differences(before: Impact, now: Impact) -> tuple[Difference, ...]:
    """Compare what decides about a change by hand: states, weights, floors, and who follows."""
    old, new = ({server.ref: OriginalState.of(server) for server in seen.servers} for seen in (before, now))
    found = [
        Difference(ref.server, str(ref), _words(old.get(ref)), _words(new.get(ref)))
        for ref in dict.fromkeys((*old, *new))
        if not _same(old.get(ref), new.get(ref))
    ]
    broken = {(capacity.instance, capacity.backend) for capacity in before.broken}
    found += [
        Difference(", ".join(now.nodes), "capacity", "allowed", str(capacity))
        for capacity in now.broken
        if (capacity.instance, capacity.backend) not in broken
    ]
    followers = [_listed(node.followers) for node in (before, now)]
    found += _if_other(", ".join(now.nodes), "also affects", *followers)
    registries = [", ".join(impact.registries) for impact in (before, now)]
    return (*found, *_if_other(", ".join(now.nodes), "follows", *registries))


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
        yield from _of_node(was, is_)
        if before.target_version(name) != now.target_version(name):
            yield Difference(
                name, "target version", before.target_version(name), now.target_version(name), beyond=True
            )


def _of_node(was: PlannedNode, now: PlannedNode) -> Iterator[Difference]:
    for ref in dict.fromkeys((*was.originals, *now.originals)):
        before, after = was.originals.get(ref), now.originals.get(ref)
        if not _same(before, after):
            yield Difference(was.name, str(ref), _words(before), _words(after))
    yield from _if_other(was.name, "installed", was.installed or "", now.installed or "")
    yield from _if_other(was.name, "running", was.running or "", now.running or "")
    yield from _if_other(
        was.name, "unfinished rollout", _number(was.unfinished_rollout), _number(now.unfinished_rollout)
    )
    yield from _if_other(was.name, "command that may still run", _process(was), _process(now))
    yield from _if_other(was.name, "steps", ", ".join(was.steps), ", ".join(now.steps))
    if was.followers != now.followers:
        more = bool(set(now.followers).difference(was.followers))
        yield Difference(was.name, "also affects", _listed(was.followers), _listed(now.followers), more)


def _listed(refs: Iterable[ServerRef]) -> str:
    return ", ".join(map(str, refs))


def _if_other(subject: str, what: str, before: str, now: str) -> Iterator[Difference]:
    if before != now:
        yield Difference(subject, what, before, now)


def _same(before: OriginalState | None, now: OriginalState | None) -> bool:
    if before is None or now is None:
        return before is now
    # An agent check sets the weight again and again: that is nobody's decision.
    weighs = before.weight == now.weight or (before.agent and now.agent)
    return (before.admin, before.agent) == (now.admin, now.agent) and weighs


def _words(original: OriginalState | None) -> str:
    if original is None:
        return ""
    return f"{original.admin}, weight {original.weight}{', agent check' if original.agent else ''}"


def _process(node: PlannedNode) -> str:
    return (
        f"process {node.running_command.pid} on {node.running_command.target}"
        if node.running_command is not None
        else ""
    )


def _number(entry: int) -> str:
    return str(entry) if entry else ""
