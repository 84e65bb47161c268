"""Whether HAProxy's server lines are still those of the node: looked at in its turn too.

A line may get another address at any time: by `set server ... addr`, a reload with another configuration or
an old state file, or name resolution.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from backends.haproxy.columns import names_of
from backends.model import Server, Snapshot
from orchestrator.departure import Departure
from orchestrator.elsewhere import Elsewhere, judge_elsewhere
from orchestrator.errors import StepFailed
from orchestrator.plan import Severity
from orchestrator.work import Work


def refuse_misplaced(work: Work, servers: Iterable[Server]) -> None:
    """Raises StepFailed when HAProxy has another machine behind a server of this node than in the plan."""
    if problem := work.endpoints.misplaced(work.node, list(servers)):
        raise StepFailed(problem)


def refuse_left_in(work: Work, departure: Departure) -> None:
    """Raises StepFailed when other lines lead to this node by now: they would not be taken out with it.

    All backends were looked at when the plan was made, and are again after a reload; otherwise those of the
    application are, whose servers have been built for the guard.

    Args:
        work: of the node.
        departure: has what was read of the load balancers right before the node goes.
    """
    snapshots = departure.snapshots
    if not work.fleet.reloads:
        snapshots = {name: _of_backends(each, work.fleet.backends) for name, each in snapshots.items()}
    seen = Elsewhere(snapshots, departure.tracked)
    found = judge_elsewhere(seen, {work.node.name: work.refs}, work.unmanaged)
    wrong = [finding for finding in found if finding.severity is Severity.ERROR]
    if wrong:
        raise StepFailed("; ".join(f"{finding.subject} {finding.text}" for finding in wrong))


def _of_backends(snapshot: Snapshot, backends: Sequence[str]) -> Snapshot:
    servers = snapshot.servers
    places = [place for place, (backend, _) in enumerate(names_of(servers)) if backend in backends]
    return replace(snapshot, servers=tuple(servers[place] for place in places))
