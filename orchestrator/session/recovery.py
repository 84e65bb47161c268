"""Recovery from a rollout that did not end healthy: it is resumed, or rolled back."""

import asyncio
import contextlib
import glob
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import msgspec

from backends.errors import ConfigError, RolldeckError
from backends.name_ranges import fold_names
from backends.text import suggest
from orchestrator.engine.result import add_refusal, combine_with_rollback
from orchestrator.errors import AlreadyRolledBack, JournalError
from orchestrator.events.events import RollbackRefused, RollbackStarted, RolloutEnded, RolloutKind
from orchestrator.journal.entries import Entry
from orchestrator.journal.node_history import WayBack
from orchestrator.journal.unfinished import UnfinishedNode
from orchestrator.node import Node
from orchestrator.planning.application import WITHOUT_TRIAL, Amount, Policy
from orchestrator.planning.findings import Severity
from orchestrator.session.proposal import Proposal
from orchestrator.session.session import Session
from orchestrator.session.takeover import take_over_again

_ORDERS = {
    "inventory": "reverse",
    "reverse": "inventory",
    "sorted": "reverse_sorted",
    "reverse_sorted": "sorted",
}


async def plan_resume(
    session: Session, nodes_at_plan_time: tuple[Node, ...] = (), *, trusted: bool = False
) -> tuple[Proposal, Entry] | None:
    """Plan what is unfinished: the last rollout, or else nodes that older ones have left.

    The batch sizes are those of that rollout; everything else is as in the configuration now.

    Args:
        session: works on the application.
        nodes_at_plan_time: see `Session.plan`.
        trusted: whether an unverified rollout, published before we have the lock, is taken over too.

    Returns:
        The plan and the rollout that it resumes; None when there is nothing to finish.

    Raises:
        JournalError: the journal cannot be read.
    """
    work_log = session.work_log
    entry, left = work_log.last_unfinished(), work_log.unfinished_nodes()
    planned = _read_plan(entry) if entry is not None else None
    if entry is not None and planned is not None:
        wanted = {node.node: node.wanted for node in planned.nodes}
        names = [name for batch in planned.batches for name in batch]
        changes = {"serial": planned.policy.serial}
    elif left:
        entry = next(iter(left.values())).entry
        wanted = {name: node.target_version for name, node in left.items()}
        names, changes = list(left), {}
    elif entry is not None:
        how = f"rolldeck upgrade {entry.application} {entry.version}"
        raise ConfigError(
            "", f"rollout {entry.id}", f"its plan cannot be read in the journal; to finish it: {how}"
        )
    else:
        return None
    # An operator may have decided to bring a node back; that was not finished.
    wanted |= {name: node.target_version for name, node in left.items() if node.entry.id == entry.id}
    wanted = {name: version for name, version in wanted.items() if name in names}
    history = await asyncio.to_thread(work_log.history, since=entry.id)
    kind: RolloutKind = "upgrade" if history.goes_forward(entry.id) else "rollback"
    if kind == "rollback":
        changes = list_rollback_changes(session.application.policy) | changes

    async def again() -> Proposal | None:
        await take_over_again(session, trusted=trusted)
        found = await plan_resume(session, plan.nodes_at_plan_time, trusted=trusted)
        return found[0] if found is not None else None

    plan = await session.plan(
        entry.version,
        limit=[glob.escape(name) for name in names],
        target_versions=wanted,
        changes=changes,
        freeze=Severity.WARNING,
        nodes_at_plan_time=nodes_at_plan_time,
        is_repair=True,
    )
    return Proposal(plan, again, kind, entry.id, resumes=True), entry


class _Node(msgspec.Struct):
    node: str
    wanted: str


class _Policy(msgspec.Struct):
    serial: Amount | list[Amount]


class _Planned(msgspec.Struct):
    """The parts of a rollout's plan in the journal that are read here."""

    nodes: list[_Node]
    batches: list[list[str]]
    policy: _Policy


def _read_plan(entry: Entry) -> _Planned | None:
    """Return the plan of an entry; None if it cannot be read."""
    try:
        planned = msgspec.convert(entry.plan, _Planned)
        Policy(serial=planned.policy.serial)
    except ValueError:
        return None
    return planned


async def plan_rollback(
    session: Session,
    entry: int | None = None,
    nodes: Collection[str] = (),
    version: str = "",
    nodes_at_plan_time: tuple[Node, ...] = (),
) -> Proposal:
    """Plan a rollback of nodes to the last versions that were healthy on them.

    Args:
        session: works on the application.
        entry: the rollout to roll back, with those that resumed it; None for the last one that was no
            rollback. To roll back a rollback restores the versions before it.
        nodes: only these; when empty, all that it has touched and that are not rolled back yet.
        version: the target version for all instead; without `entry`, all nodes of the application are meant.
        nodes_at_plan_time: see `Session.plan`.

    Raises:
        AlreadyRolledBack: there is nothing left to roll back.
        ConfigError: no such rollout, a node that it has not touched, or whose previous version is unknown.
        JournalError: the journal cannot be read.
    """
    way = (await asyncio.to_thread(session.work_log.history)).way_back(entry)
    if way is None and (entry is not None or not version):
        which = "no rollout" if entry is None else f"no rollout {entry}"
        raise ConfigError("", "rollback", f"the journal has {which} of {session.application.name}")
    wanted: dict[str, str] = {}  # by default the plan's version
    names = list(nodes)
    if way is not None and (entry is not None or not version):
        wanted = _choose_versions(way, nodes, version)
        names = list(wanted)
    versions = sorted(set(wanted.values()))
    plan = await session.plan(
        version or (versions[0] if len(versions) == 1 else " and ".join(versions)),
        limit=[glob.escape(name) for name in names],
        target_versions=wanted,
        changes=list_rollback_changes(session.application.policy),
        freeze=Severity.WARNING,  # it is a repair
        nodes_at_plan_time=nodes_at_plan_time,
        is_repair=True,
    )

    async def again() -> Proposal | None:
        try:
            return await plan_rollback(session, entry, nodes, version, plan.nodes_at_plan_time)
        except AlreadyRolledBack:
            return None

    return Proposal(plan, again, "rollback", way.entry if way is not None else None)


def _choose_versions(way: WayBack, nodes: Collection[str], version: str) -> dict[str, str]:
    """Return the target version of each node. Raises AlreadyRolledBack, ConfigError."""
    for name in nodes:
        if name not in way.touched:
            hint, there = suggest(name, way.touched), fold_names(way.touched) or "none"
            problem = f"rollout {way.entry} did not change it; {hint}it changed: {there}"
            raise ConfigError("", name, problem)
    chosen = [name for name in way.touched if not nodes or name in nodes]
    if version:
        return dict.fromkeys(chosen, version)
    todo = [name for name in chosen if name not in way.returned]
    if chosen and not todo:
        by = ", ".join(str(number) for number in sorted({way.returned[name] for name in chosen}))
        what = f"rollout {way.entry}" + (f" on {fold_names(chosen)}" if nodes else "")
        raise AlreadyRolledBack(f"{what} was already rolled back by {by}: no changes made")
    if unknown := [name for name in todo if name in way.unknown]:
        raise ConfigError(
            "",
            ", ".join(unknown),
            f"the last healthy version before rollout {way.entry} is unknown; name the version for"
            " `rolldeck rollback`",
        )
    return {name: way.wanted[name] for name in todo}


async def roll_back_after(session: Session, ended: RolloutEnded, entry: int, how: str) -> RolloutEnded:
    """Carry out `on_failure`: roll back in an entry of its own, under the same lock.

    If the rollback cannot begin, the result of the rollout is returned, with the reason.

    Args:
        session: works on the application.
        ended: how the rollout has ended.
        entry: its number in the journal.
        how: `on_failure`.

    Returns:
        How the rollout and its rollback have ended together.
    """
    failed = [*ended.failed, *ended.interrupted]
    wanted = failed if how == "rollback-node" else [*ended.upgraded, *failed]
    names: list[str] = []
    try:
        way = (await asyncio.to_thread(session.work_log.history)).way_back(entry)
        names = [name for name in wanted if way is not None and name in way.touched]
        if not names:
            return ended
        session.control.raise_if_aborting()
        session.reset_control()  # the old one forbids new drains, which are a repair now
        _emit_after(session, entry, RollbackStarted(rollout=entry, policy=how, nodes=names))
        proposal = await plan_rollback(session, entry, names)
        back = await session.run(replace(proposal, reason=f"on_failure of rollout {entry}"))
        plan = session.current_plan
    except RolldeckError as error:
        reason = str(error)
    except Exception as defect:  # a bug: what is out of rotation must be reported all the same
        session.defect = defect
        reason = f"internal error: {defect!r}"
    else:
        return combine_with_rollback(
            ended, back, {name: plan.target_version(name) for name in names} if plan else {}
        )
    _emit_after(session, entry, RollbackRefused(rollout=entry, reason=reason))
    return add_refusal(ended, reason)


def _emit_after(session: Session, entry: int, event: RollbackStarted | RollbackRefused) -> None:
    """Emit what follows the end of an entry, and write it there, where other processes read it."""
    with contextlib.ExitStack() as writing:
        # Without a journal, everybody in this process must still learn of it.
        with contextlib.suppress(JournalError):
            writing.enter_context(session.work_log.continued(entry))
        with contextlib.suppress(JournalError):
            session.bus.emit(event)


def describe_unfinished(left: UnfinishedNode) -> str:
    """Describe an unfinished node in one line."""
    return f"{left.node} was {left.text}"


def list_rollback_changes(policy: Policy) -> dict[str, Any]:
    """Return the changes of the policy: reverse order, largest batches, no canary, ramp, bake or questions.

    All checks stay: the capacity floor, the node's own health, HAProxy's checks.
    """
    serial = policy.serial[-1] if isinstance(policy.serial, list) else policy.serial
    return {
        "order": _ORDERS[policy.order],
        "serial": serial,
        **WITHOUT_TRIAL,
        "confirm": "none",
        "on_failure": "stop",
    }
