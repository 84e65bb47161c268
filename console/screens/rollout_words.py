"""What the main view says of a rollout beside its events: capacity, impact, what is not as planned."""

from collections.abc import Mapping, Sequence

from backends.model import AdminState, ServerRef
from orchestrator.events import STEPS, Asked
from orchestrator.headroom import headroom, tightest
from orchestrator.plan import Plan
from orchestrator.policy import Policy
from orchestrator.state import NodeState, NodeStatus, RolloutState
from orchestrator.watch import View
from orchestrator.words import health
from widgets.question_lines import capacity_words, shortened

MOST_COMMANDS = 3  # lines of a question

OUT = (NodeState.STOPPING, NodeState.INSTALLING, NodeState.STARTING, NodeState.FAILED)


def capacity_line(view: View, backends: Sequence[str], policy: Policy) -> str:
    """`4 in rotation, floor 2, may lose 2`: where it is tightest. A load balancer not seen allows nothing."""
    found, unseen = headroom(view, backends, policy)
    if unseen:
        return f"{', '.join(unseen)} not seen: none may go"
    worst = tightest(found)
    if worst is None:
        return ""
    where = f"{worst.backend}: " if len(backends) > 1 else ""
    room = max(0, worst.before - worst.floor)
    return f"{where}{worst.before} in rotation, floor {worst.floor}, may lose {room}"


def impact(
    view: View, plan: Plan, policy: Policy, state: RolloutState, asked: Asked, width: int
) -> list[str]:
    """What a yes to this question would mean; for a failed node, where it is now."""
    names = [each.name for each in plan.nodes]
    subjects = [asked.subject] if asked.subject in names else _batch(plan, state)
    refs = [ref for name in subjects for ref in plan.node(name).refs]
    if len(subjects) == 1 and state.nodes[subjects[0]].state is NodeState.FAILED:
        return [f"now: {_now(view, refs)}"]
    step = next((each for each in STEPS if asked.text == f"{each}?"), None)
    if step is not None and step != "drain":
        planned = [
            (each.target, each.command) for each in plan.node(subjects[0]).commands if each.step == step
        ]
        return shortened(planned, MOST_COMMANDS, width) or [f"{step}: nothing is sent, only looked at"]
    backends = tuple(dict.fromkeys(ref.backend for ref in refs))
    found, unseen = headroom(view, backends, policy, refs)
    sessions = sum(each.sessions + each.queue for ref in refs if (each := view.server(ref)) is not None)
    steps = ", ".join(plan.node(subjects[0]).steps)
    return [
        capacity_words(found, unseen),
        f"{sessions} session{'' if sessions == 1 else 's'} now · then {steps}",
    ]


def _batch(plan: Plan, state: RolloutState) -> Sequence[str]:
    """The batch that is asked about: the one after the last that began."""
    return plan.batches[state.batch] if state.batch < len(plan.batches) else ()


def _now(view: View, refs: Sequence[ServerRef]) -> str:
    """`maint on lb1, lb2`."""
    groups: dict[str, list[str]] = {}
    for ref in refs:
        server = view.server(ref)
        words = "not known" if server is None else f"{server.admin_state}"
        if server is not None and server.admin_state is AdminState.READY:
            words = f"ready, {health(server)}"
        groups.setdefault(words, []).append(ref.instance)
    return " · ".join(f"{words} on {', '.join(dict.fromkeys(names))}" for words, names in groups.items())


def differences(view: View, plan: Plan, state: RolloutState) -> Mapping[str, str]:
    """Nodes that are not as the rollout wants them now, and how they are instead."""
    found = {}
    for name, node in state.nodes.items():
        if words := _difference(view, plan, node):
            found[name] = words
    return found


def _difference(view: View, plan: Plan, node: NodeStatus) -> str:
    """An upgraded node belongs in rotation (if it was there before), one that is worked on does not."""
    planned = plan.node(node.name)
    live = {each.name for each in view.instances if each.state == "live"}
    wrong = []
    for ref in planned.refs:
        server, original = view.server(ref), planned.originals[ref]
        if server is None or ref.instance not in live:
            continue
        belongs = original.admin is AdminState.READY and original.weight > 0
        if node.state is NodeState.UPGRADED and belongs and not server.in_rotation:
            wrong.append(f"{server.admin_state} {health(server)} on {ref.instance}")
        if node.state in OUT and "drain" in node.cells and server.takes_traffic:
            wrong.append(f"takes traffic on {ref.instance}")
    return ", ".join(dict.fromkeys(wrong))
