"""What a session is doing: known to those that must act differently while something is rolled out."""

from dataclasses import dataclass, field

from orchestrator.engine.control import RolloutControl
from orchestrator.events.state import RolloutState, is_under_way


@dataclass(slots=True)
class Activity:
    """Of one session.

    Attributes:
        control: what people can do to its work; each rollout has one of its own.
        is_rolling: a rollout runs.
        state: of the last rollout.
    """

    control: RolloutControl
    is_rolling: bool = False
    state: RolloutState = field(default_factory=RolloutState)

    def active_nodes(self) -> set[str]:
        """Nodes that a rollout works on now."""
        return {name for name, node in self.state.nodes.items() if is_under_way(node.state)}
