"""After a rollout that did not end well: going on with it, or back to the versions before."""

from collections.abc import Collection
from functools import partial

import msgspec

from backends.errors import ConfigError
from console import rollback
from console.adoption import take_over_again
from console.proposal import Proposal
from console.session import Session
from orchestrator.events import RolloutEnded
from orchestrator.journal.leftovers import Leftover
from orchestrator.journal.store import Entry
from orchestrator.node import Node
from orchestrator.plan import Severity
from orchestrator.policy import Amount, Policy


async def plan_resume(
    session: Session, members: tuple[Node, ...] = (), *, trusted: bool = False
) -> tuple[Proposal, Entry] | None:
    """The plan that finishes what is unfinished: the last rollout, or else nodes that older ones have left.

    The batch sizes are those of that rollout, everything else is as the configuration says now.

    Args:
        session: works on the application.
        members: see `Session.plan`.
        trusted: what others have published until the lock is ours is taken over whoever vouches for it.

    Returns:
        The plan and the rollout that it goes on with; None when there is nothing to finish.

    Raises:
        JournalError: the journal cannot be read.
    """
    books = session.books
    entry, left = books.unfinished(), books.leftovers()
    planned = _planned(entry) if entry is not None else None
    if entry is not None and planned is not None:
        wanted = {node.node: node.wanted for node in planned.nodes}
        names = [name for batch in planned.batches for name in batch]
        changes = {"serial": planned.policy.serial}
    elif left:
        entry = next(iter(left.values())).entry
        wanted = {name: each.version for name, each in left.items()}
        names, changes = list(left), {}
    elif entry is not None:
        how = f"rolldeck upgrade {entry.application} {entry.version}"
        raise ConfigError(
            "", f"rollout {entry.id}", f"its plan cannot be read in the journal; to finish it: {how}"
        )
    else:
        return None
    wanted = {name: version for name, version in wanted.items() if name in names}

    async def again() -> Proposal | None:
        await take_over_again(session, trusted=trusted)
        found = await plan_resume(session, plan.members, trusted=trusted)
        return found[0] if found is not None else None

    plan = await session.plan(
        entry.version,
        nodes=names,
        wanted=wanted,
        changes=changes,
        freeze=Severity.WARNING,
        members=members,
    )
    return Proposal(plan, again, follows=entry.id), entry


class _Node(msgspec.Struct):
    node: str
    wanted: str


class _Policy(msgspec.Struct):
    serial: Amount | list[Amount]


class _Planned(msgspec.Struct):
    """What counts of the plan of a rollout, as it stands in the journal."""

    nodes: list[_Node]
    batches: list[list[str]]
    policy: _Policy


def _planned(entry: Entry) -> _Planned | None:
    """None where somebody has made something else of it."""
    try:
        planned = msgspec.convert(entry.plan, _Planned)
        Policy(serial=planned.policy.serial)
    except ValueError:
        return None
    return planned


async def plan_rollback(
    session: Session, entry: Entry, nodes: Collection[str] = (), members: tuple[Node, ...] = ()
) -> Proposal:
    """The plan that brings nodes of a rollout back to the versions that they had before it.

    Args:
        session: works on the application.
        entry: the rollout.
        nodes: only these; all that it has touched when empty.
        members: see `Session.plan`.

    Raises:
        ConfigError: a node that it has not touched, or of which nobody knows what it had.
        JournalError: the journal cannot be read.
    """
    before, touched = session.books.touched(entry)
    for name in nodes:
        if name not in touched:
            there = ", ".join(touched) or "none"
            raise ConfigError("", name, f"rollout {entry.id} has not touched it; it has touched: {there}")
    wanted, unknown = rollback.way_back(before, nodes or touched)
    if unknown:
        raise ConfigError("", ", ".join(unknown), f"what it had before rollout {entry.id} is not known")
    versions = sorted(set(wanted.values()))
    version = versions[0] if len(versions) == 1 else " and ".join(versions)
    plan = await session.plan(
        version,
        nodes=list(wanted),
        wanted=wanted,
        changes=rollback.changes(session.application.policy),
        freeze=Severity.WARNING,  # it repairs
        members=members,
    )
    again = partial(plan_rollback, session, entry, nodes, plan.members)
    return Proposal(plan, again, "rollback", entry.id)


async def roll_back_after(session: Session, ended: RolloutEnded, entry: int, how: str) -> RolloutEnded | None:
    """What `on_failure` says, once a rollout has failed: a rollout of its own, back.

    Returns:
        How that ended; None when there was nothing to roll back.
    """
    failed = [*ended.failed, *ended.interrupted]
    names = failed if how == "rollback-node" else [*ended.upgraded, *failed]
    begun = session.books.last(entry)
    if not names or begun is None:
        return None
    session.renew_control()  # the old one forbids what is a repair now
    return await session.run(await plan_rollback(session, begun, names))


def words(left: Leftover) -> str:
    """One line for an operator."""
    return f"{left.node} was {left.words}"
