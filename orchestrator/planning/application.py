"""An application: its nodes, the load balancers in front of them, and how a rollout is to go."""

from dataclasses import dataclass

from backends.hooks.common import Hook
from orchestrator.balancers.group import BalancerGroup
from orchestrator.node import Node
from orchestrator.planning.endpoints import Match
from orchestrator.planning.freeze import Freeze
from orchestrator.planning.policy import Policy


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that a rollout or a manual change works on."""

    name: str
    nodes: tuple[Node, ...]
    balancer_group: BalancerGroup
    policy: Policy
    match: Match = "name"
    ignored_backends: tuple[str, ...] = ()  # where nodes stand too, and are left in
    hooks: tuple[Hook, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    has_health_check: bool = True  # of its own; without one the open port is all that Rolldeck looks at
