"""The forecasts of drains in a plan: the ages of sessions are read while preflight reads everything else."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.errors import BackendError
from backends.haproxy.session_list import MAX_LISTED
from backends.model import AdminState, ListedSession, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.group import BalancerGroup
from orchestrator.planning.application import Policy
from orchestrator.planning.drain_forecast import Lifetimes, ResidualCurve
from orchestrator.planning.drain_outlook import DrainBasis, DrainOutlook, judge_drain
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.plan import Plan, PlannedNode


class SessionAges:
    """The ages of the sessions on all servers of an application.

    Attributes:
        ages: in seconds, by server; servers without a session are left out.
        unread: why they are not known, or not completely, by load balancer.
    """

    def __init__(self) -> None:
        self.ages: dict[ServerRef, list[int]] = {}
        self.unread: dict[str, str] = {}

    @classmethod
    async def read(cls, balancer_group: BalancerGroup) -> "SessionAges":
        """Read them from all load balancers in parallel. Never raises BackendError."""
        found = cls()
        everything = [(backend, "") for backend in balancer_group.backends]

        async def read(balancer: LoadBalancer) -> None:
            try:
                listed = await balancer.list_sessions(everything)
            except BackendError as error:
                found.unread[balancer.name] = error.problem
                return
            if not listed.complete:
                found.unread[balancer.name] = f"more than about {MAX_LISTED:,} sessions, which were not read"
                return
            found._add(balancer.name, listed.sessions)

        await asyncio.gather(*map(read, balancer_group.balancers.values()))
        return found

    def _add(self, balancer: str, sessions: Sequence[ListedSession]) -> None:
        for session in sessions:
            if session.age is not None:
                ref = ServerRef(balancer, session.backend, session.server)
                self.ages.setdefault(ref, []).append(session.age)

    def of(self, refs: Sequence[ServerRef]) -> list[int]:
        """Return the ages of the sessions on these servers."""
        return [age for ref in refs for age in self.ages.get(ref, ())]

    def without(self, refs: set[ServerRef]) -> list[int]:
        """Return the ages of all sessions but those on these servers."""
        return [age for ref, ages in self.ages.items() if ref not in refs for age in ages]


def find_young_processes(snapshots: Mapping[str, Snapshot], policy: Policy) -> DrainBasis:
    """Return the basis of forecasts as far as it is known before any session is: which HAProxy are young."""
    uptimes = {name: snapshot.info.uptime for name, snapshot in snapshots.items() if not snapshot.read_only}
    return DrainBasis(
        young={name: uptime for name, uptime in uptimes.items() if uptime < policy.drain_timeout}
    )


def add_drain_forecasts(plan: Plan, found: SessionAges, earlier_drains: Sequence[ResidualCurve]) -> Plan:
    """Return the plan with a forecast of each drain, and a warning where one will not end.

    Args:
        plan: the plan.
        found: the ages of sessions.
        earlier_drains: from the journal.
    """
    # On a server that is out, only the longest sessions are left.
    out = {ref for node in plan.nodes for ref in node.refs if not _was_in_rotation(node, ref)}
    ages = found.without(out)
    lifetimes = Lifetimes.estimate(ages, earlier_drains)
    nodes, findings = [], list(plan.findings)
    for node in plan.nodes:
        if "drain" not in node.steps:
            nodes.append(node)
            continue
        outlook = _forecast(node, found.of(node.refs), lifetimes, plan.policy.drain_timeout)
        nodes.append(replace(node, drain=outlook))
        if (finding := judge_drain(node.name, outlook, lifetimes, ages, plan.policy)) is not None:
            findings.append(finding)
    if plan.policy.on_remaining_sessions == "pace":
        findings += [
            Finding(Severity.WARNING, name, f'on_remaining_sessions = "pace" needs a list of sessions: {why}')
            for name, why in found.unread.items()
        ]
    basis = DrainBasis(lifetimes, dict(sorted(found.unread.items())), plan.drain_basis.young)
    return replace(plan, nodes=tuple(nodes), findings=tuple(findings), drain_basis=basis)


def _was_in_rotation(node: PlannedNode, ref: ServerRef) -> bool:
    return node.originals[ref].admin is AdminState.READY and not node.unfinished_rollout


def _forecast(
    node: PlannedNode, ages: Sequence[int], lifetimes: Lifetimes, deadline_s: float
) -> DrainOutlook:
    forecast = None
    if lifetimes.known and not node.persistent:
        forecast = lifetimes.forecast(node.sessions, deadline_s=deadline_s)
    return DrainOutlook(
        node.sessions, max(ages, default=None), deadline_s, forecast, persistent=node.persistent
    )
