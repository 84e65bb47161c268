"""A rollout of another machine as it is published: 300 nodes, the last one interrupted; 1,501 events."""

from orchestrator.events.events import (
    AnyEvent,
    NodeStarted,
    NodeUpgraded,
    Record,
    RolloutStarted,
    StepDone,
    StepStarted,
)
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.remote.takeover import PublishedNode, PublishedPlan, PublishedPolicy, RolloutHeader

NODES = [f"web{number}" for number in range(1, 301)]
BEGAN = 1_700_000_000.25
HEAD = RolloutHeader(
    kind="upgrade",
    application="shop",
    version="2.0",
    operator="ann@ops",
    host="ops",
    pid=42,
    began=BEGAN,
    plan=PublishedPlan(
        batches=[[node] for node in NODES],
        nodes=[PublishedNode(node=node, wanted="2.0") for node in NODES],
        policy=PublishedPolicy(serial=[1]),
    ),
)


def records() -> list[Record]:
    """One event each quarter of a second."""
    events: list[AnyEvent] = [
        RolloutStarted(
            application="shop",
            version="2.0",
            nodes=NODES,
            batches=[[node] for node in NODES],
            operator="ann@ops",
            before=dict.fromkeys(NODES, "1.0"),
        )
    ]
    for number, node in enumerate(NODES, 1):
        weight = OriginalStateRecord(
            instance="lb1", backend="shop", server=node, admin="ready", weight=number, agent=False
        )
        events += [
            NodeStarted(node=node, version="2.0", originals=[weight]),
            StepStarted(node=node, step="drain"),
            StepDone(node=node, step="drain", changed=True, detail="no sessions left", duration_s=0.25),
            StepStarted(node=node, step="stop"),
            NodeUpgraded(node=node, duration_s=1.0),
        ]
    events[-1] = StepDone(node=NODES[-1], step="stop", changed=True, detail="it is gone", duration_s=0.25)
    return [Record(number, BEGAN + number / 4, event) for number, event in enumerate(events, 1)]
