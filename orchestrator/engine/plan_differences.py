"""The differences between two plans, or two impacts of a manual change, as data; texts are for people."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from backends.model import ServerRef
from backends.name_ranges import fold_names, fold_set
from orchestrator.engine.facts import ImpactFacts, NodeFacts, PlanFacts, ServerFacts
from orchestrator.engine.manual_change import Impact
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan


class Difference(msgspec.Struct, frozen=True):
    """One thing that has changed since a plan was made, or a manual change was shown.

    Attributes:
        subject: the node, or the application.
        what: what has changed, such as "running" or "shop/web1 on lb1".
        before: the value before; empty for nothing.
        now: the value now; empty for nothing.
        beyond: whether more would be done now than somebody has agreed to.
        is_own: whether `what` is something that only the subject has, such as a server of a node.
    """

    subject: str
    what: str
    before: str
    now: str
    beyond: bool = False
    is_own: bool = False

    def __str__(self) -> str:
        return f"{self.subject}: {self.change}"

    @property
    def change(self) -> str:
        """What has changed, and how."""
        return f"{self.what}: {self.values}"

    @property
    def values(self) -> str:
        """The values before and now."""
        return f"{self.before or 'nothing'} → {self.now or 'nothing'}"


def fold_differences(found: Iterable[Difference]) -> Iterator[tuple[str, str]]:
    """Yield each change once, with the names of all that have it; those of one subject alone stay apart."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in found:
        what = "" if difference.is_own else difference.what
        groups.setdefault((what, difference.values), []).append(difference)
    for (what, values), alike in groups.items():
        subjects = dict.fromkeys(difference.subject for difference in alike)
        if len(subjects) == 1:
            yield from ((difference.subject, difference.change) for difference in alike)
        else:
            what = what or fold_set(difference.what for difference in alike)
            yield fold_set(subjects), f"{what}: {values}"


def compare_plans(before: Plan | PlanFacts, now: Plan | PlanFacts) -> tuple[Difference, ...]:
    """Compare what decides about a rollout: versions, original states, weights, unfinished nodes, steps."""
    old, new = (plan if isinstance(plan, PlanFacts) else PlanFacts.of(plan) for plan in (before, now))
    return tuple(_differences(old, new))


def compare_impacts(before: Impact | ImpactFacts, now: Impact | ImpactFacts) -> tuple[Difference, ...]:
    """Compare what decides about a manual change: states, weights, floors and followers."""
    old, new = (
        impact if isinstance(impact, ImpactFacts) else ImpactFacts.of(impact) for impact in (before, now)
    )
    found = list(_server_differences(old.servers, new.servers))
    broken = {(floor.instance, floor.backend) for floor in old.broken}
    found += [
        Difference(fold_names(new.nodes), "capacity", "allowed", floor.text)
        for floor in new.broken
        if (floor.instance, floor.backend) not in broken
    ]
    followers = [_refs_text(impact.followers) for impact in (old, new)]
    found += _if_different(fold_names(new.nodes), "also affects", *followers)
    registries = [", ".join(impact.registries) for impact in (old, new)]
    return (*found, *_if_different(fold_names(new.nodes), "follows", *registries))


def _differences(before: PlanFacts, now: PlanFacts) -> Iterator[Difference]:
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
        if was.target_version != is_.target_version:
            yield Difference(name, "target version", was.target_version, is_.target_version, beyond=True)
    if before.follows != now.follows:
        entries = (_rollout_text(before.follows), _rollout_text(now.follows))
        yield Difference(now.application, "follows rollout", *entries, beyond=True)


def _server_differences(
    was: Sequence[ServerFacts], now: Sequence[ServerFacts], subject: str = ""
) -> Iterator[Difference]:
    """Compare the original states of servers, of one node or each of its own."""
    old, new = ({server.ref: server.original for server in servers} for servers in (was, now))
    for ref in dict.fromkeys((*old, *new)):
        before, after = old.get(ref), new.get(ref)
        if not _same(before, after):
            texts = _original_text(before), _original_text(after)
            yield Difference(subject or ref.server, str(ref), *texts, is_own=True)


def _node_differences(was: NodeFacts, now: NodeFacts) -> Iterator[Difference]:
    yield from _server_differences(was.servers, now.servers, was.name)
    yield from _if_different(was.name, "installed", was.installed, now.installed)
    yield from _if_different(was.name, "running", was.running, now.running)
    rollouts = [_rollout_text(node.unfinished_rollout) for node in (was, now)]
    yield from _if_different(was.name, "unfinished rollout", *rollouts)
    yield from _if_different(was.name, "command that may still run", was.running_command, now.running_command)
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


def _rollout_text(entry: int | None) -> str:
    return str(entry) if entry else ""
