"""What a rollout wants of each server, what brings it there, and what only somebody else can have done."""

from dataclasses import replace

import pytest

from backends.model import Admin, AdminState, Server
from orchestrator.engine.desired_state import DesiredState, DesiredStates
from orchestrator.events.events import ManualChangeStarted
from orchestrator.node import OriginalState
from tests.support.console_values import server

WEB1 = server("web1", weight=50)
REF = WEB1.ref
DRAINED = replace(WEB1, admin=Admin.FORCED_DRAIN)
IN_MAINT = replace(WEB1, admin=Admin.FORCED_MAINT)
READY = OriginalState.of(WEB1)


def states(wanted: DesiredState | None = None, original: OriginalState = READY) -> DesiredStates:
    found = DesiredStates(originals={REF: original})
    if wanted is not None:
        found.set([REF], wanted)
    return found


@pytest.mark.parametrize(
    ("wanted", "seen", "satisfied"),
    [
        (None, WEB1, True),
        (None, replace(WEB1, weight=49), False),
        (None, DRAINED, False),
        (None, replace(WEB1, agent=True), True),
        (DesiredState.DRAIN, DRAINED, True),
        (DesiredState.DRAIN, WEB1, False),
        (DesiredState.DRAIN, IN_MAINT, False),
        (DesiredState.DRAIN, replace(WEB1, admin=Admin.INHERITED_DRAIN), False),
        (DesiredState.PROVE, DRAINED, True),
        (DesiredState.PROVE, WEB1, False),
        (DesiredState.MAINT, IN_MAINT, True),
        (DesiredState.MAINT, DRAINED, False),
        (DesiredState.MAINT, replace(WEB1, admin=Admin.INHERITED_MAINT), False),
    ],
)
def test_whether_a_server_is_as_wanted(wanted: DesiredState | None, seen: Server, satisfied: bool) -> None:
    found = states(wanted)
    assert found.satisfied_by(seen) is satisfied
    assert found.worked_on(REF) is found.expects_out(REF) is (wanted is not None)


def test_an_agent_check_that_was_on_must_be_on_again() -> None:
    original = replace(READY, agent=True)
    assert not states(original=original).satisfied_by(WEB1)
    assert states(original=original).satisfied_by(replace(WEB1, agent=True))


@pytest.mark.parametrize(
    ("wanted", "original", "seen", "lines"),
    [
        (None, READY, WEB1, []),
        (None, READY, DRAINED, ["set server shop/web1 state ready"]),
        (
            None,
            READY,
            replace(IN_MAINT, weight=1),
            ["set server shop/web1 weight 50", "set server shop/web1 state ready"],
        ),
        (None, replace(READY, agent=True), WEB1, ["enable agent shop/web1"]),
        (None, replace(READY, agent=True), replace(WEB1, agent=True), []),
        (None, READY, replace(WEB1, agent=True), []),
        (None, replace(READY, admin=AdminState.MAINT), WEB1, ["set server shop/web1 state maint"]),
        (None, replace(READY, admin=AdminState.DRAIN), IN_MAINT, ["set server shop/web1 state drain"]),
        (DesiredState.DRAIN, READY, WEB1, ["set server shop/web1 state drain"]),
        (DesiredState.MAINT, READY, WEB1, ["set server shop/web1 state maint"]),
        (
            DesiredState.MAINT,
            READY,
            replace(WEB1, agent=True, weight=1),
            ["set server shop/web1 weight 50", "disable agent shop/web1", "set server shop/web1 state maint"],
        ),
    ],
)
def test_what_brings_a_server_where_it_is_wanted(
    wanted: DesiredState | None, original: OriginalState, seen: Server, lines: list[str]
) -> None:
    """After a reload too: exactly the original state, weight and agent check come back."""
    assert states(wanted, original).commands_to_reach(seen) == lines


def test_what_is_to_be_proven_is_not_put_in_rotation() -> None:
    (line,) = states(DesiredState.PROVE).commands_to_reach(WEB1)
    assert "state drain" in line
    assert "health down" in line
    assert "ready" not in line


def test_our_own_command_that_has_no_effect_yet_is_nobody_elses() -> None:
    found = states(DesiredState.DRAIN)
    assert not found.by_others(WEB1, found.moment), "it still has its last state"
    assert found.by_others(IN_MAINT, found.moment), "nobody here has wanted that"
    assert not found.by_others(DRAINED, found.moment)
    assert found.by_others(WEB1, found.moment), "it was drained, and somebody has put it back"


def test_what_was_read_before_our_last_command_says_nothing() -> None:
    found = states(DesiredState.DRAIN)
    found.note_read([DRAINED])
    before = found.moment
    found.set([REF], DesiredState.MAINT)
    assert not found.by_others(WEB1, before)
    assert found.by_others(WEB1, found.moment)
    assert not found.by_others(DRAINED, found.moment), "it still has its last state"


def test_states_on_the_way_are_all_our_own() -> None:
    found = states(DesiredState.DRAIN)
    found.set([REF], DesiredState.MAINT)
    for seen in (WEB1, DRAINED, IN_MAINT):
        assert not found.by_others(seen, found.moment)
    for seen in (WEB1, DRAINED):
        assert found.by_others(seen, found.moment), "it was in maintenance"


def test_the_same_wish_again_is_no_change() -> None:
    found = states(DesiredState.DRAIN)
    found.note_read([DRAINED])
    before = found.moment
    found.set([REF], DesiredState.DRAIN)
    assert found.moment == before
    assert found.by_others(WEB1, before)


def test_what_is_reached_is_a_change_that_older_readings_do_not_know() -> None:
    found = states(DesiredState.DRAIN)
    before = found.moment
    found.note_read([WEB1])
    assert found.moment == before, "it is not reached"
    found.note_read([DRAINED])
    assert found.moment == before + 1
    assert not found.by_others(WEB1, before)


def test_a_server_that_was_never_touched_is_changed_by_others_only() -> None:
    found = states()
    assert not found.by_others(WEB1, 0)
    assert found.by_others(DRAINED, 0)
    assert found.by_others(replace(WEB1, weight=1), 0)


def test_what_an_earlier_rollout_has_left_out_is_no_change_until_its_node_begins() -> None:
    found = states()
    found.left_out.add(REF)
    assert found.expects_out(REF)
    assert not found.worked_on(REF)
    assert not found.by_others(IN_MAINT, 0)
    assert found.satisfied_by(IN_MAINT)
    found.set([REF], DesiredState.DRAIN)
    assert not found.satisfied_by(IN_MAINT)
    found.set([REF], DesiredState.ORIGINAL)
    assert not found.expects_out(REF)
    assert not found.satisfied_by(IN_MAINT)


@pytest.mark.parametrize(
    ("action", "weight", "seen", "ours"),
    [
        ("maint", 0, IN_MAINT, True),
        ("maint", 0, DRAINED, False),
        ("drain", 0, DRAINED, True),
        ("ready", 0, WEB1, True),
        ("weight", 7, replace(WEB1, weight=7), True),
        ("weight", 7, replace(DRAINED, weight=7), True),
        ("weight", 7, WEB1, False),
    ],
)
def test_a_manual_change_is_named_where_it_explains_the_state(
    action: str, weight: int, seen: Server, ours: bool
) -> None:
    found = states()
    now = OriginalState.of(seen)
    assert found.who_set(REF, now) == "somebody"
    assert found.who_set(REF, now, agent=True) == "somebody, or its agent check,"
    found.manual_changes[REF] = ManualChangeStarted(
        action=action, nodes=["web1"], weight=weight, override=[], operator="ann@ops"
    )
    assert found.who_set(REF, now) == ("a manual change by ann@ops" if ours else "somebody")
