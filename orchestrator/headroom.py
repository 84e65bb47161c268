"""What is in rotation now and what may still go, from the live view: cheap enough for every poll."""

from collections import Counter
from collections.abc import Collection, Sequence

from backends.model import ServerRef
from orchestrator.guard import Capacity, floor_of
from orchestrator.policy import Policy
from orchestrator.watch import InstanceView, View


def headroom(
    view: View, backends: Sequence[str], policy: Policy, leaving: Collection[ServerRef] = ()
) -> tuple[tuple[Capacity, ...], tuple[str, ...]]:
    """What each load balancer has in rotation of each backend, and would have without some servers.

    It informs; the guard asks HAProxy itself before each drain.

    Args:
        view: the live state.
        backends: those that matter.
        policy: has the floor.
        leaving: servers that would go.

    Returns:
        Of each backend on each load balancer that is live, and the names of those that are not.
    """
    live = [each for each in view.instances if each.state == "live"]
    return (
        tuple(each for instance in live for each in _of(instance, backends, policy, leaving)),
        tuple(each.name for each in view.instances if each.state != "live"),
    )


def _of(
    instance: InstanceView, backends: Sequence[str], policy: Policy, leaving: Collection[ServerRef]
) -> list[Capacity]:
    columns = instance.columns
    # Servers in the same state share one place in `alike`: thousands of servers, a handful of looks.
    groups = Counter(zip((name[0] for name in columns.names), columns.alike, strict=True))
    found = []
    for backend in backends:
        own = [(instance.servers[at], count) for (name, at), count in groups.items() if name == backend]
        peers = [(each, count) for each, count in own if not each.backup] or own
        if not peers:
            continue
        before = sum(count for each, count in peers if each.in_rotation)
        going = [
            server
            for ref in leaving
            if (ref.instance, ref.backend) == (instance.name, backend)
            and (server := instance.server((ref.backend, ref.server))) is not None
        ]
        found.append(
            Capacity(
                instance=instance.name,
                backend=backend,
                before=before,
                after=before - sum(each.in_rotation and (not each.backup or peers is own) for each in going),
                floor=floor_of(sum(count for _, count in peers), policy),
                taken=sum(each.takes_traffic for each in going),
            )
        )
    return found


def tightest(capacities: Sequence[Capacity]) -> Capacity | None:
    """Where the least may be lost; None when nothing is known."""
    return min(capacities, key=lambda each: each.before - each.floor, default=None)
