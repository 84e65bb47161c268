"""What the main view shows of a rollout besides its events: capacity, impact and differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.model import AdminState, ServerRef
from backends.text import counted
from orchestrator.balancers.admin_state import inherits_only
from orchestrator.events.events import DecisionRequested
from orchestrator.events.state import DONE, NodeState, NodeStatus, RolloutState
from orchestrator.events.steps import STEPS
from orchestrator.events.text import format_health
from orchestrator.live.disruptions import find_tightest, measure_headroom
from orchestrator.live.poller import FleetView
from orchestrator.planning.plan import Plan, capacity_text
from widgets.decision_panel import shorten_commands

MAX_COMMANDS = 3  # lines of a question
_OVER = (NodeState.FAILED, NodeState.HELD, NodeState.PUT_BACK, NodeState.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class RolloutSummary:
    """A rollout compared with the current state of HAProxy.

    Attributes:
        backends: of the application.
        width: columns that a line may have.
    """

    view: FleetView
    plan: Plan
    state: RolloutState
    backends: Sequence[str]
    width: int

    def capacity_line(self) -> str:
        """Return the tightest capacity, as in `4 in rotation, floor 2, may lose 2`."""
        if self.state.ended is not None:
            return ""
        found, unseen = measure_headroom(
            self.view,
            self.backends,
            self.plan.policy,
            all_backups=self.plan.all_backups,
            kept=self._refs(),
        )
        if unseen:
            return f"{', '.join(unseen)} unreachable: no node may be taken out"
        worst = find_tightest(found)
        if worst is None:
            return ""
        where = f"{worst.backend}: " if len(self.backends) > 1 else ""
        return f"{where}{worst.before} in rotation, floor {worst.floor}, may lose {worst.remaining}"

    def impact(self) -> list[str]:
        """Return what a yes to the oldest question would mean; for a failed node, its current state."""
        question = next(iter(self.state.questions.values()), None)
        if question is None:
            return []
        subjects = self._subjects(question)
        if question.kind == "verdict" and not subjects:
            return []  # it holds a stage of a ramp: nothing leaves rotation
        refs = [ref for name in subjects for ref in self.plan.node(name).refs]
        if len(subjects) == 1 and self.state.nodes[subjects[0]].state in _OVER:
            return [f"now: {_current_state_text(self.view, refs)}"]
        if question.step and question.step != "drain":
            return self._commands(subjects[0], question.step)
        backends = tuple(dict.fromkeys(ref.backend for ref in refs))
        carried = [ref for name in subjects for ref in self.plan.node(name).followers]
        found, unseen = measure_headroom(
            self.view,
            backends,
            self.plan.policy,
            {*refs, *carried},
            self.plan.all_backups,
            kept=self._refs(),
        )
        servers = [server for ref in refs if (server := self.view.server(ref)) is not None]
        sessions = sum(server.open_sessions for server in servers)
        steps = ", ".join(self.plan.node(subjects[0]).steps) if subjects else ""
        along = ", ".join(map(str, carried))
        return [
            capacity_text(found, unseen),
            *([f"also affects {along}"] if carried else []),
            f"{counted(sessions, 'session')} now · then {steps}",
        ]

    def _refs(self) -> set[ServerRef]:
        return {ref for node in self.plan.nodes for ref in node.refs}

    def _subjects(self, question: DecisionRequested) -> Sequence[str]:
        """Return the nodes that a question is about; of a verdict, those whose drain it holds."""
        if question.subject in self.state.nodes:
            return [question.subject]
        if question.kind == "verdict":
            return [node.name for node in self.state.nodes.values() if node.at_work and node.step == "drain"]
        return self._batch()

    def _batch(self) -> Sequence[str]:
        """Return the batch that the question is about: the one after the last that started."""
        batches = self.plan.batches
        return batches[self.state.batch] if self.state.batch < len(batches) else ()

    def _commands(self, node: str, step: str) -> list[str]:
        planned = [
            (command.target, command.command)
            for command in self.plan.node(node).commands
            if command.step == step
        ]
        nothing = [f"{step}: only checks, no commands are sent"]
        return shorten_commands(planned, MAX_COMMANDS, self.width) or nothing

    def differences(self) -> Mapping[str, str]:
        """Return nodes whose state differs from what the rollout expects, and that state."""
        found = {name: self._difference(node) for name, node in self.state.nodes.items()}
        return {name: text for name, text in found.items() if text}

    def _difference(self, node: NodeStatus) -> str:
        """Compare: an upgraded node belongs in rotation if it was before, one in progress does not."""
        planned = self.plan.node(node.name)
        live = {instance.name for instance in self.view.instances if instance.state == "live"}
        wrong = []
        for ref in planned.refs:
            server, original = self.view.server(ref), planned.originals[ref]
            if server is None or ref.instance not in live:
                continue
            belongs = original.admin is AdminState.READY and original.weight > 0
            if node.state in DONE and belongs and not (server.in_rotation or inherits_only(server)):
                wrong.append(f"{server.admin_state} {format_health(server)} on {ref.instance}")
            if _is_out(node) and "drain" in node.steps and server.receives_traffic:
                wrong.append(f"takes traffic on {ref.instance}")
        return ", ".join(dict.fromkeys(wrong))


def _current_state_text(view: FleetView, refs: Sequence[ServerRef]) -> str:
    """Return the state on each load balancer, as in `maint on lb1, lb2`."""
    groups: dict[str, list[str]] = {}
    for ref in refs:
        server = view.server(ref)
        text = "unknown" if server is None else f"{server.admin_state}"
        if server is not None and server.admin_state is AdminState.READY:
            text = f"ready, {format_health(server)}"
        groups.setdefault(text, []).append(ref.instance)
    return " · ".join(f"{text} on {', '.join(dict.fromkeys(names))}" for text, names in groups.items())


def _is_out(node: NodeStatus) -> bool:
    """Return whether the node must not take traffic, because of a running or a failed step."""
    if node.state == NodeState.FAILED or node.step is None:
        return node.state == NodeState.FAILED
    at_work = node.state == STEPS.spec(node.step).state
    return at_work and node.step not in ("drain", "verify")
