"""The promises that hold for every combination of fleet, faults and operators."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from backends.model import AdminState
from orchestrator.events.events import CommandSending, DecisionMade, NodeFailed
from orchestrator.events.state import RolloutState
from orchestrator.node import OriginalState
from orchestrator.planning.capacity import compute_floor
from tests.support.virtual_time import run
from tests.unit.scenarios import Outcome, Scenario, play, scenarios

# Nothing else happens: whoever goes on after the failure does so by itself.
ONE_FAILS = Scenario(
    nodes=3,
    instances=1,
    policy={"min_available": 0, "verify_timeout": 20},
    interactive=False,
    states=["ready"] * 3,
    weights=[1] * 3,
    agents=[False] * 3,
    habits={"web1": "sick"},
    troubles=[],
    outages={},
    crashes={},
    people=[],
)
ENDS = ("upgraded", "failed", "put_back", "skipped", "interrupted", "pending", "held")


def test_the_promises_hold_whatever_happens() -> None:
    reached: set[str] = set()

    @settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],  # to make a scenario smaller takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scenarios())
    @example(ONE_FAILS)
    @example(replace(ONE_FAILS, interactive=True))
    def check(scenario: Scenario) -> None:
        outcome = run(play_and_judge(scenario))
        if outcome.ended is None:
            reached.add("refused")
        else:
            reached.add(outcome.ended.result)
            reached.update(name for name in ENDS if getattr(outcome.ended, name))

    check()
    # A promise about an end that no scenario comes to would hold by itself.
    assert reached == {"refused", "healthy", "degraded", "aborted", *ENDS}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_promises_hold_on_a_ramp() -> None:
    ended: Counter[str] = Counter()

    @settings(
        max_examples=200,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scenarios(), st.sampled_from([2, 10, "verdict"]))
    def check(scenario: Scenario, hold: object) -> None:
        ramp = {"ramp": [10, 50, 100], "ramp_hold": hold}
        weights = [100 * bool(weight) for weight in scenario.weights]
        outcome = run(play_and_judge(replace(scenario, policy=scenario.policy | ramp, weights=weights)))
        ended[outcome.ended.result if outcome.ended is not None else "refused"] += 1

    check()
    assert min(ended[result] for result in ("refused", "healthy", "degraded", "aborted")) > 5, ended


async def play_and_judge(scenario: Scenario) -> Outcome:
    """Play on a virtual loop, which what is looked at afterwards needs too."""
    outcome = await play(scenario)
    promises_hold(outcome)
    return outcome


def promises_hold(outcome: Outcome) -> None:
    if outcome.ended is None:
        assert not outcome.world.touched()
        return
    assert outcome.world.rollout is not None
    assert outcome.world.rollout.defect is None
    never_below_the_floor(outcome)
    assert outcome.stopped_in_rotation == []
    a_failure_stops_new_drains(outcome)
    what_was_out_is_never_put_in_rotation(outcome)
    everybody_is_named_once(outcome)
    done_is_done_and_untouched_is_untouched(outcome)
    what_is_not_as_it_was_is_named_with_commands(outcome)
    healthy_means_everything(outcome)
    RolloutState.of(outcome.world.records)


def never_below_the_floor(outcome: Outcome) -> None:
    floor = compute_floor(len(outcome.world.nodes), outcome.world.policy)
    for balancer in outcome.world.balancers.values():
        for move in balancer.moves:
            # Only a node that has failed goes straight to maintenance: others need not be proven for that.
            counted = move.taking if move.command.endswith("state maint") else move.after
            assert counted >= min(floor, move.before), f"{move} on {balancer.name}, floor {floor}"


def a_failure_stops_new_drains(outcome: Outcome) -> None:
    """From a failure on (until it is decided, or for good) nobody else's first drain is sent."""
    world = outcome.world
    drained: set[str] = set()
    blocking: set[str] = set()  # nodes whose failure is not decided
    failed: set[str] = set()
    for record in world.records:
        match record.event:
            case NodeFailed(node=name):
                failed.add(name)
                batch = next(batch for batch in outcome.plan.batches if name in batch)
                share = 100 * len(failed & set(batch)) / len(batch)
                if world.control.interactive or share > world.policy.max_fail_percentage:
                    blocking.add(name)
            case DecisionMade(subject=name):
                blocking.discard(name)
                failed.discard(name)
            # By their order: in virtual time it is sent in the very moment of the failure.
            case CommandSending(node=name, step="drain", command=command) if command.endswith("state drain"):
                if name not in drained:
                    others = sorted(blocking - {name})
                    assert not others, f"{name} was drained although {others} had failed"
                drained.add(name)
            case _:
                pass


def what_was_out_is_never_put_in_rotation(outcome: Outcome) -> None:
    for name in outcome.world.nodes:
        for server, original in zip(outcome.world.servers(name), outcome.original(name), strict=True):
            if original.admin is not AdminState.READY:
                assert server.seen().admin_state is not AdminState.READY
                sent = [line for _, line in outcome.world.balancers[server.ref.instance].sent]
                assert f"set server shop/{name} state ready" not in sent


def everybody_is_named_once(outcome: Outcome) -> None:
    ended = outcome.ended
    assert ended is not None
    named = [*ended.upgraded, *ended.failed, *ended.put_back]
    named += [*ended.skipped, *ended.interrupted, *ended.pending]
    assert sorted(named) == sorted(name for batch in outcome.plan.batches for name in batch)


def done_is_done_and_untouched_is_untouched(outcome: Outcome) -> None:
    ended, world = outcome.ended, outcome.world
    assert ended is not None
    for name in ended.upgraded:
        node = world.nodes[name]
        assert (node.installed, node.running) == ("2.0", "2.0")
        assert outcome.now(name) == outcome.original(name)
    for name in ended.put_back:
        assert outcome.now(name) == outcome.original(name)
        assert world.nodes[name].asked == []
    for name in ended.pending:
        assert outcome.now(name) == outcome.original(name)
        assert world.nodes[name].asked == []


def what_is_not_as_it_was_is_named_with_commands(outcome: Outcome) -> None:
    ended, world = outcome.ended, outcome.world
    assert ended is not None
    told = {entry.node: entry for entry in ended.out_of_rotation}
    blind = {text.partition(":")[0] for text in ended.unreachable_balancers}
    for name in world.nodes:
        for server, original in zip(world.servers(name), outcome.original(name), strict=True):
            if server.ref.instance in blind or OriginalState.of(server.seen()) == original:
                continue
            assert name in told, f"{server.ref} is {server.status(server.admin)}, and nobody is told"
            assert not told[name].intentional
            assert any(command.startswith(server.ref.instance) for command in told[name].command_texts)


def healthy_means_everything(outcome: Outcome) -> None:
    ended, world = outcome.ended, outcome.world
    assert ended is not None
    if ended.result != "healthy":
        return
    assert sorted(ended.upgraded) == sorted(name for batch in outcome.plan.batches for name in batch)
    for name in world.nodes:
        for server, original in zip(world.servers(name), outcome.original(name), strict=True):
            if original.admin is AdminState.READY and original.weight:
                assert server.seen().in_rotation
