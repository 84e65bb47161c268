"""A plan as text: who, in which order, what stays, every command, and what preflight found."""

from collections.abc import Iterable
from dataclasses import replace

import click
import pytest

from backends.model import ServerRef
from backends.name_ranges import Own
from console.terminal import rollout_text
from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.drain_forecast import DrainForecast, Lifetimes
from orchestrator.planning.drain_outlook import DrainBasis, DrainOutlook
from orchestrator.planning.findings import Finding, PreflightFailed, Severity
from orchestrator.planning.plan import Plan, PlannedCommand, PlannedNode
from orchestrator.planning.plan_json import encode_plan
from tests.support.console_values import HOSTILE, harmless

REF = ServerRef("lb1", "shop", "web1")
CAPACITY = Capacity(instance="lb1", backend="shop", before=2, after=1, floor=1, traffic_servers_removed=1)


def node(name: str, **changes: object) -> PlannedNode:
    fields: dict[str, object] = {
        "refs": (REF,),
        "originals": {},
        "installed": "1.4.2",
        "running": "1.4.2",
        "steps": ("drain", "stop"),
        "reason": "1.4.2 → 1.5.0",
        "commands": (PlannedCommand("drain", "lb1", "set server shop/web1 state drain"),),
    }
    return PlannedNode(name, **(fields | changes))  # type: ignore[arg-type]


def plan(*nodes: PlannedNode, findings: Iterable[Finding] = ()) -> Plan:
    batches = tuple((node.name,) for node in nodes if node.steps)
    capacities = tuple((CAPACITY,) for _ in batches)
    return Plan("shop", "1.5.0", Policy(), nodes, batches, capacities, findings=tuple(findings))


def lines(*parts: Iterable[str]) -> list[str]:
    return [click.unstyle(line) for part in parts for line in part]


def test_how_long_each_drain_takes() -> None:
    soon = DrainOutlook(7, 40, 300, DrainForecast(9, 12, 20, 8, 0.01))
    done = node("web2", running="1.5.0", steps=(), reason="has 1.5.0 and is in rotation")
    made = replace(
        plan(node("web1", drain=soon), done),
        drain_basis=DrainBasis(Lifetimes.estimate([1, 2])),
        policy=Policy(on_remaining_sessions="pace"),
    )
    assert lines(rollout_text.plan_lines(made))[1:5] == [
        "NODE  NOW    WHAT                          DRAIN",
        "web1  1.4.2  1.4.2 → 1.5.0                 usually 12 s (9\u201320), 7 sessions now, oldest 40 s",
        "web2  1.5.0  has 1.5.0 and is in rotation",
        "drains are forecast from session ages",
    ]
    assert lines(rollout_text.plan_lines(made))[5] == (
        'sessions that remain after 310 s: on_remaining_sessions = "pace" closes them, the oldest first,'
        " 10 per second (`shutdown session ID`)"
    )


def test_summary() -> None:
    done = node("web2", running="1.5.0", steps=(), reason="has 1.5.0 and is in rotation")
    assert lines(rollout_text.plan_lines(plan(node("web1"), done))) == [
        "shop → 1.5.0 · 1 of 2 nodes in 1 batch",
        "NODE  NOW    WHAT",
        "web1  1.4.2  1.4.2 → 1.5.0",
        "web2  1.5.0  has 1.5.0 and is in rotation",
        "",
        "BATCH  NODES  STAYS IN ROTATION",
        "    1  web1   shop on lb1: in rotation 2 → 1, floor 1",
    ]


def test_that_a_node_goes_back_in_rotation_against_its_state_is_said() -> None:
    shown = lines(rollout_text.plan_lines(plan(node("web1", force_ready=True, failed_in=7))))
    assert (
        shown[2]
        == "web1  1.4.2  1.4.2 → 1.5.0; put in rotation although it is out now; that failed here in rollout 7"
    )


def test_with_nothing_to_do_there_are_no_batches() -> None:
    done = node("web1", steps=(), reason="has 1.5.0 and is in rotation")
    assert lines(rollout_text.plan_lines(plan(done)))[-1].startswith("web1")


def test_commands_in_the_order_of_the_batches() -> None:
    made = plan(node("web1"), node("web2"))
    assert lines(rollout_text.command_lines(made)) == [
        "web1:",
        "  drain  lb1    set server shop/web1 state drain",
        "web2:",
        "  drain  lb1    set server shop/web1 state drain",
    ]


def test_errors_come_first_and_the_same_text_is_said_once() -> None:
    found = [
        Finding(Severity.INFO, "lb1", "has no state file"),
        Finding(Severity.WARNING, "web1", "has no checks"),
        Finding(Severity.ERROR, "web9", "is not registered"),
        Finding(Severity.WARNING, "web2", "has no checks"),
        Finding(Severity.WARNING, "web2", "has no checks"),
    ]
    assert lines(rollout_text.finding_lines(found)) == [
        "✗ web9: is not registered",
        "! web1, web2: has no checks",
        "· lb1: has no state file",
    ]


def test_nodes_and_batches_that_are_alike_are_one_line() -> None:
    names = [f"web{number:03}" for number in range(1, 41)]
    old = ({"installed": "1.3.0", "running": "1.3.0"} if name == "web031" else {} for name in names)
    made = plan(*(node(name, **changes) for name, changes in zip(names, old, strict=True)))
    later = replace(CAPACITY, before=1, after=0)
    made = replace(made, capacities=(*made.capacities[:-6], *([(later,)] * 6)))
    assert lines(rollout_text.plan_lines(made))[1:] == [
        "NODE          NOW    WHAT",
        "web[001-030]  1.4.2  1.4.2 → 1.5.0",
        "web031        1.3.0  1.4.2 → 1.5.0",
        "web[032-040]  1.4.2  1.4.2 → 1.5.0",
        "",
        "BATCH  NODES                      STAYS IN ROTATION",
        " 1-34  web[001-034], 1 at a time  shop on lb1: in rotation 2 → 1, floor 1",
        "35-40  web[035-040], 1 at a time  shop on lb1: in rotation 1 → 0, floor 1",
    ]


def test_the_same_change_of_many_nodes_is_one_line() -> None:
    found = [Difference(f"web{number}", "running", "1.4.2", "1.4.3") for number in range(1, 41)]
    found.insert(7, Difference("web8", "steps", "", "verify"))
    found += [
        Difference(f"web{number}", f"shop/w{number} on {balancer}", "ready", "maint", is_own=True)
        for number in range(1, 41)
        for balancer in ("lb1", "lb2")
    ]
    assert lines(rollout_text.difference_lines(found))[1:] == [
        "  web[1-40]: running: 1.4.2 → 1.4.3",
        "  web8: steps: nothing → verify",
        "  web[1-40]: shop/w[1-40] on lb1, shop/w[1-40] on lb2: ready → maint",
    ]


def test_a_cause_that_hits_all_nodes_is_said_once() -> None:
    numbers = range(1, 401)
    found = [
        *(Finding(Severity.WARNING, f"web{n:03}", "is old" if n != 7 else "is very old") for n in numbers),
        *(
            Finding.of(
                Severity.ERROR, f"web{n:03}", "port ", Own(8000 + n), " of ", Own(f"w{n}"), ": timed out"
            )
            for n in numbers
        ),
        Finding(Severity.ERROR, "web400", "port 8400 of w400: timed out later"),
    ]
    assert lines(rollout_text.finding_lines(found)) == [
        "✗ web[001-400]: port [8001-8400] of w[1-400]: timed out",
        "✗ web400: port 8400 of w400: timed out later",
        "! web[001-006], web[008-400]: is old",
        "! web007: is very old",
    ]
    errors = tuple(finding for finding in found if finding.severity is Severity.ERROR)
    assert str(PreflightFailed(errors)) == (
        "web[001-400]: port [8001-8400] of w[1-400]: timed out; web400: port 8400 of w400: timed out later"
    )


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_in_a_plan_can_control_a_terminal(said: str) -> None:
    command = PlannedCommand("drain", said, said)
    made = plan(
        node(said, installed=said, running=said, reason=said, commands=(command,)),
        findings=[Finding(Severity.ERROR, said, said)],
    )
    for line in lines(
        rollout_text.plan_lines(made),
        rollout_text.command_lines(made),
        rollout_text.finding_lines(made.findings),
    ):
        assert harmless(line)


def test_json_has_everything_that_the_text_has() -> None:
    fields = encode_plan(plan(node("web1"), findings=[Finding(Severity.WARNING, "web1", "has no checks")]))
    assert (fields["schema"], fields["kind"], fields["batches"]) == (2, "plan", (("web1",),))
    assert fields["findings"] == [{"severity": "warning", "subject": "web1", "text": "has no checks"}]
    assert fields["capacities"] == [
        [
            {
                "instance": "lb1",
                "backend": "shop",
                "before": 2,
                "after": 1,
                "floor": 1,
                "taken": 1,
                "takes_over": (),
                "carried": (),
                "spare": 0,
            }
        ]
    ]
