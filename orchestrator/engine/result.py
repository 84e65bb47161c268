"""The progress of a rollout, its result and that of a rollback after it, and what can be done then."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from backends.errors import RolldeckError
from backends.model import ServerRef
from backends.name_ranges import fold_names
from orchestrator.events.events import (
    Result,
    RolloutEnded,
    RolloutKind,
)
from orchestrator.events.state import NodeState
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.text import strip_result
from orchestrator.events.ways_back import WayOn
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan


@dataclass(slots=True)
class Progress:
    """The progress of a rollout, by node."""

    kind: RolloutKind = "upgrade"
    done: list[str] = field(default_factory=list)  # upgraded, or rolled back
    failed: list[str] = field(default_factory=list)
    failed_at: dict[str, Step] = field(default_factory=dict)  # by node, the last time
    skipped: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)  # upgraded, but with too few requests to prove it
    put_back: list[str] = field(default_factory=list)  # failed before the stop, and as they were before
    # Failed, and back with the version of before, because an operator has decided so: the version by node.
    returned: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    originals: dict[str, dict[ServerRef, OriginalState]] = field(default_factory=dict)
    # Differences from the plan that an operator has accepted.
    accepted_drift: set[str] = field(default_factory=set)
    drift_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def failed_nodes(self) -> list[str]:
        """The nodes that were touched and failed."""
        return [name for name in self.failed if name in self.touched]

    @property
    def held_nodes(self) -> list[str]:
        """The nodes that could not be taken out, and are as they were before."""
        return [name for name in self.failed if name not in self.touched]

    def judge(self, stop_reason: str, forbidden: str) -> tuple[Result, str]:
        """Judge a rollout without a failure of its own by what became of its nodes; return result and reason.

        Args:
            stop_reason: why no further node was drained; empty when all were.
            forbidden: why no node may be taken out now, such as a lost lock.
        """
        kinds = {"failed": self.failed_nodes, "put back": self.put_back, "held": self.held_nodes}
        if any(kinds.values()):
            reasons = [f"{kind}: {fold_names(names)}" for kind, names in kinds.items() if names]
            # Without the lock, somebody else may have changed nodes.
            return "degraded", "; ".join([*reasons, *filter(None, [forbidden])])
        if stop_reason:
            return "degraded", stop_reason
        if self.skipped:
            return "degraded", f"skipped: {fold_names(self.skipped)}"
        return "healthy", ""


def combine_with_rollback(
    failed: RolloutEnded, back: RolloutEnded, versions: Mapping[str, str]
) -> RolloutEnded:
    """Combine the end of a rollout with that of its rollback.

    Args:
        failed: how the rollout ended.
        back: how the rollback ended; what is out of rotation was read after it.
        versions: the target versions of the rollback, also of nodes that had nothing to do.

    Returns:
        The end of the rollout. Nodes of `rolled_back` are in `upgraded`, `failed` or `interrupted` too, by
        what became of them before. A node whose rollback failed or was interrupted is counted so.
    """
    open_nodes = {*back.failed, *back.skipped, *back.interrupted, *back.pending}
    worked_on = {*back.failed, *back.skipped, *back.interrupted}
    rolled_back = [name for name in versions if name not in open_nodes]
    out = [entry for entry in failed.out_of_rotation if entry.node not in versions] + back.out_of_rotation

    def combine(before: list[str], now: list[str]) -> list[str]:
        return [*(name for name in before if name not in worked_on), *now]

    ways_on = back.ways_on
    if back.result == "healthy" and not set(failed.upgraded) <= set(rolled_back):
        ways_on = failed.ways_on  # the nodes have two versions
    how = "rolled back" if back.result == "healthy" else f"the rollback was {back.result}"
    reason = strip_result(back.result, back.reason)
    return msgspec.structs.replace(
        failed,
        reason=f"{failed.reason}; {how}" + (f" ({reason})" if reason else ""),
        upgraded=combine(failed.upgraded, []),
        failed=combine(failed.failed, back.failed),
        skipped=[*failed.skipped, *back.skipped],
        interrupted=combine(failed.interrupted, back.interrupted),
        out_of_rotation=out,
        unreachable_balancers=back.unreachable_balancers,
        duration_s=round(failed.duration_s + back.duration_s, 3),
        answer_wait_s=round(failed.answer_wait_s + back.answer_wait_s, 3),
        rolled_back=rolled_back,
        versions=_final_versions(failed, back) | {name: versions[name] for name in rolled_back},
        ways_on=ways_on,
        blocked=back.blocked,
    )


def _final_versions(failed: RolloutEnded, back: RolloutEnded) -> dict[str, str]:
    """Return the versions of the nodes, without those that are only partly rolled back."""
    worked_on = {*back.failed, *back.interrupted}
    return {
        name: version for name, version in failed.versions.items() if name not in worked_on
    } | back.versions


def add_refusal(failed: RolloutEnded, reason: str) -> RolloutEnded:
    """Add to the end of a rollout why its rollback was refused."""
    return msgspec.structs.replace(failed, reason=f"{failed.reason}; the rollback was refused: {reason}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Nodes with the same outcome.

    Attributes:
        state: how their part of the rollout has ended.
        nodes: their names.
        and_rolled_back: whether they were rolled back after that.
    """

    state: NodeState
    nodes: list[str]
    and_rolled_back: bool = False

    @property
    def title(self) -> str:
        return f"{self.state.value} and rolled back" if self.and_rolled_back else self.state.value


def group_outcomes(ended: RolloutEnded) -> list[Outcome]:
    """Group the nodes by what became of them, and by whether they were rolled back after that."""
    by_state = {
        NodeState.UPGRADED: ended.upgraded,
        NodeState.FAILED: ended.failed,
        NodeState.PUT_BACK: ended.put_back,
        NodeState.HELD: ended.held,
        NodeState.SKIPPED: ended.skipped,
        NodeState.INTERRUPTED: ended.interrupted,
        NodeState.PENDING: [name for name in ended.pending if name not in ended.held],
    }
    named = {name for names in by_state.values() for name in names}
    only_back = [name for name in ended.rolled_back if name not in named]
    found = [Outcome(NodeState.ROLLED_BACK, only_back)]
    back = set(ended.rolled_back)
    for state, names in by_state.items():
        found.append(Outcome(state, [name for name in names if name in back], and_rolled_back=True))
        found.append(Outcome(state, [name for name in names if name not in back]))
    return [outcome for outcome in found if outcome.nodes]


def format_version_and_rotation(ended: RolloutEnded, node: str) -> str:
    """Format as `1.4.2, in rotation`: the version of a node that was rolled back, and whether it serves."""
    version = ended.versions.get(node, "")
    out = {entry.node: entry for entry in ended.out_of_rotation}
    if node in out:
        where = "out of rotation as before" if out[node].intentional else "out of rotation"
    else:
        where = "unknown whether in rotation" if ended.unreachable_balancers else "in rotation"
    return f"{version}, {where}" if version else where


def find_ways_on(plan: Plan, progress: Progress) -> list[WayOn]:
    """Return the commands that finish or undo a rollout that has not ended well.

    Without a touched node there is nothing to finish or to undo. Where a node has failed after the
    installation, the new version is to blame, and the rollback comes first.
    """
    if not progress.touched:
        return []
    resume = WayOn(purpose="resume", command=f"rolldeck resume {plan.application}")
    changed = progress.touched - progress.returned.keys()
    known = all(plan.node(name).has_version for name in changed)
    if progress.kind == "rollback" or not (changed and known):
        return [resume]
    rollback = WayOn(purpose="rollback", command=f"rolldeck rollback {plan.application}")
    failed_at = {progress.failed_at[name] for name in progress.failed_nodes if name in changed}
    # After the installation the new version runs.
    return [rollback, resume] if failed_at.intersection(STEPS.after("install")) else [resume, rollback]


def collect_versions(
    plan: Plan, upgraded: Collection[str], unfinished: Collection[str], others: Mapping[str, str]
) -> dict[str, str]:
    """Return the version of each node, as far as it is known without reading it again.

    Args:
        plan: the plan of the rollout.
        upgraded: nodes that are done.
        unfinished: nodes whose version is unknown before it is read.
        others: the versions of nodes that are not in the plan.
    """
    found = dict(others)
    for node in plan.nodes:
        if node.name in upgraded:
            found[node.name] = plan.target_version(node.name)
        elif node.name in unfinished:
            found.pop(node.name, None)
        elif node.has_version:
            found[node.name] = node.displayed_version
    return dict(sorted(found.items()))


def find_cause(failure: BaseException | None) -> BaseException | None:
    """Return the error with a message for people from what a task group wraps; else the failure as it is."""
    found = [failure] if failure is not None else []
    while any(isinstance(error, BaseExceptionGroup) for error in found):
        found = [
            inner
            for error in found
            for inner in (error.exceptions if isinstance(error, BaseExceptionGroup) else [error])
        ]
    return next((error for error in found if isinstance(error, RolldeckError)), failure)
