"""The nodes of an application that are in rotation, counted from the live view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.haproxy.columns import Name, server_like
from backends.model import AdminState
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.planning.server_pool import find_ignored_slots

if TYPE_CHECKING:
    from orchestrator.live.rates import RowIndex

_NO_NAMES: Mapping[Name, str] = {}


@dataclass(frozen=True, slots=True)
class Availability:
    """How many nodes of an application are in rotation, on all load balancers that are live.

    Attributes:
        nodes: all of them, in HAProxy's order.
        out: those that somebody has taken out of rotation somewhere, in HAProxy's order.
        down: those that are out although nobody has taken them out, in HAProxy's order.
    """

    nodes: tuple[str, ...]
    out: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The number of nodes."""
        return len(self.nodes)

    @property
    def in_rotation(self) -> int:
        """The number of nodes all of whose servers are in rotation."""
        return len(self.nodes) - len(self.out) - len(self.down)


class AvailabilityCounter:
    """Counts the nodes of one application; the same servers are gone through once."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[RowIndex, Mapping[Name, str], list[str]]] = {}  # by load balancer

    def count(self, view: FleetView, names: Mapping[Name, str] = _NO_NAMES) -> Availability | None:
        """Return the availability in a view; None where no load balancer is live.

        Args:
            view: the view.
            names: the node of each server, by backend and server; others are nodes of their own name.
        """
        live = view.live
        if not live:
            return None
        total: dict[str, None] = {}
        present: list[dict[str, None]] = []
        out: dict[str, bool] = {}  # nodes that are not in rotation, and whether nobody has taken them out
        for balancer in live:
            nodes = self._nodes_of(balancer, names)
            judged = {at: server_like(balancer.servers, at) for at in set(balancer.columns.alike)}
            has_slots = any(server.empty_slot for server in judged.values())
            ignored = find_ignored_slots(balancer.servers) if has_slots else frozenset()
            rows: Sequence[int] = range(len(nodes))
            if ignored:
                rows = [at for at, name in enumerate(balancer.columns.names) if name not in ignored]
            own = dict.fromkeys(nodes[at] for at in rows) if ignored else dict.fromkeys(nodes)
            present.append(own)
            total |= own
            down = {
                at: server.admin_state is AdminState.READY
                for at, server in judged.items()
                if not server.in_rotation
            }
            if down:
                _find_out(balancer, nodes, rows, down, out)
        for own in present:
            if len(own) < len(total):  # one does not have all nodes: there they are not in rotation
                out |= {node: out.get(node, True) for node in total if node not in own}
        return Availability(
            nodes=tuple(total),
            out=tuple(node for node, is_down in out.items() if not is_down),
            down=tuple(node for node, is_down in out.items() if is_down),
        )

    def _nodes_of(self, balancer: BalancerView, names: Mapping[Name, str]) -> list[str]:
        known = self._nodes.get(balancer.name)
        if known is not None and known[0] is balancer.rows and known[1] is names:
            return known[2]
        nodes = [names.get(name, name[1]) for name in balancer.columns.names]
        self._nodes[balancer.name] = balancer.rows, names, nodes
        return nodes


def _find_out(
    balancer: BalancerView,
    nodes: Sequence[str],
    rows: Sequence[int],
    down: Mapping[int, bool],
    out: dict[str, bool],
) -> None:
    """Add the nodes that are not in rotation.

    Args:
        balancer: has the servers.
        nodes: the node of each server.
        rows: the servers that count.
        down: the first server of each state that is not in rotation, and whether nobody has taken it out.
        out: likewise, by node.
    """
    alike = balancer.columns.alike
    for row in rows:
        if (at := alike[row]) in down:
            out[nodes[row]] = down[at] or out.get(nodes[row], False)
