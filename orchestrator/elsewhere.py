"""The same machine behind other server lines: traffic that no drain of this application reaches."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from backends.base import LoadBalancer
from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef
from orchestrator.plan import Finding, Severity


async def judge_elsewhere(
    balancer: LoadBalancer, mapped: Mapping[str, Sequence[ServerRef]], unmanaged: Collection[str]
) -> Iterable[Finding]:
    """Find server lines with a node's address and port that its turn would not take out.

    Stopping the service would cut what comes through them, and nothing here would notice: an error, unless
    somebody has said that it may be so.

    Args:
        balancer: is asked for all of its backends.
        mapped: the server lines of each node, on all load balancers.
        unmanaged: backends in which that is accepted; only a warning then.
    """
    try:
        servers = (await balancer.snapshot()).servers
    except BackendError as error:
        text = f"whether its nodes also stand in other backends could not be seen: {error.problem}"
        return [Finding(Severity.WARNING, balancer.name, text)]
    return [finding for name, refs in mapped.items() for finding in _judge(name, refs, servers, unmanaged)]


def _judge(
    name: str, refs: Sequence[ServerRef], servers: Sequence[Server], unmanaged: Collection[str]
) -> Iterable[Finding]:
    # An address is empty where the socket's level hides it.
    places = {(each.address, each.port) for each in servers if each.ref in refs and each.address}
    for each in servers:
        same = (each.address, each.port) in places and each.ref not in refs
        if same and each.admin_state is not AdminState.MAINT:
            text = (
                f"is also {each.ref} ({each.status}), which is not taken out with it: what comes that way"
                " fails while it is worked on"
            )
            if each.ref.backend in unmanaged:
                yield Finding(Severity.WARNING, name, text)
            else:
                text += "; add it to `backends` (or `servers`), or accept that in `unmanaged_backends`"
                yield Finding(Severity.ERROR, name, text)
