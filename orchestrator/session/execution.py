"""The execution of a plan under the lock: the journal's entry, the rollout itself, and requests to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from orchestrator.engine.rollout import Rollout
from orchestrator.engine.rollout_context import RolloutCallbacks, RolloutContext
from orchestrator.events.events import NodeNote, RolloutEnded
from orchestrator.inventory.inventory import Inventory
from orchestrator.live.versions import VersionTracker, read_versions
from orchestrator.node import Node
from orchestrator.planning.plan import Plan
from orchestrator.planning.plan_json import encode_plan
from orchestrator.session.proposal import OpenSession, Proposal
from orchestrator.session.requests import SessionRequests


class WorkingSession(OpenSession, Protocol):
    """The parts of a session that a rollout needs."""

    inventory: Inventory
    versions: VersionTracker


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """A rollout that was carried out.

    Attributes:
        ended: how it has ended.
        entry: its number in the journal.
        defect: a bug of our own in it.
    """

    ended: RolloutEnded
    entry: int
    defect: BaseException | None


async def carry_out(
    session: WorkingSession, proposal: Proposal, found: Sequence[object], requests: SessionRequests
) -> CarriedOut:
    """Carry out a plan under the lock.

    Args:
        session: works on the application.
        proposal: the plan.
        found: what has changed since it was made; it is noted in the journal.
        requests: of other processes, which are accepted meanwhile.

    Raises:
        JournalError: the entry cannot be written; no changes made.
    """
    plan, kind, work_log = proposal.plan, proposal.kind, session.work_log
    names = {node.name for node in plan.nodes}
    places = {name: where for name, where in session.inventory.endpoints().items() if name in names}
    other_versions = await _other_versions(session, plan)
    evidence = work_log.evidence(proposal.follows, plan.version) if proposal.resumes else None
    async with work_log.begin(
        kind,
        f"{kind} to {plan.version}",
        session.control,
        version=plan.version,
        plan=encode_plan(plan) | {"places": places, "resumes": proposal.resumes},
        follows=proposal.follows,
    ) as entry:
        for difference in found:
            session.bus.emit(NodeNote(node="", text=f"planned again under the lock: {difference}"))
        # The nodes of the plan: others may have come, gone or moved while an operator read it.
        application = replace(session.application, nodes=plan.nodes_at_plan_time)
        differences = partial(session.inventory.differences, plan.nodes_at_plan_time)
        last_healthy = partial(work_log.last_healthy_version, entry)
        callbacks = RolloutCallbacks(work_log.published, differences, last_healthy)
        rollout = Rollout(
            application,
            plan,
            session.control,
            session.clock,
            session.bus,
            session.actor,
            RolloutContext(entry, kind, other_versions, callbacks, evidence, proposal.reason),
        )
        requests.entry = entry
        try:
            ended = await rollout.run()
        finally:
            await requests.end()
    return CarriedOut(ended, entry, rollout.defect)


async def _other_versions(session: WorkingSession, plan: Plan) -> dict[str, str]:
    """Return the versions of the nodes that a plan leaves alone, known here or else read now."""
    known = session.versions.find_installed(session.work_log.known_versions())
    planned = {node.name for node in plan.nodes}
    others = [node for node in session.application.nodes if node.name not in planned]

    def is_known(node: Node) -> bool:
        version = known.get(node.name)
        # It may be what the application calls a version of which installers have another name.
        return version is not None and not (node.version_regex and node.reported_version(version) == version)

    if unknown := [node for node in others if not is_known(node)]:
        known |= await read_versions(unknown, sees=session.versions.sees)
    return {node.name: known[node.name] for node in others if node.name in known}
