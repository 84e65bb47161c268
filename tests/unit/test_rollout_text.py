"""How a rollout ended: every node that is out of rotation, and the way back."""

import re

import click
import pytest
from msgspec import structs

from console.terminal.rollout_text import EXIT_CODES, RESULT_KINDS, ending_lines
from orchestrator.events.events import Result, RolloutEnded
from orchestrator.events.ways_back import BackCommand, OutOfRotation, WayOn
from tests.support.console_values import HOSTILE, harmless
from tests.unit import journals

WEB2 = OutOfRotation(
    node="web2",
    servers=["shop/web2 on lb1: maint (MAINT)", "shop/web2 on lb2: maint (MAINT)"],
    intentional=False,
    commands=[
        BackCommand("ready", "rolldeck ready shop web2"),
        BackCommand("by_hand", "lb1: set server shop/web2 state ready"),
    ],
    rollback_command="rolldeck upgrade shop 1.4.2 --limit web2 --force-ready web2",
)


def ended(result: Result = "healthy", reason: str = "", **changes: object) -> RolloutEnded:
    changes = {"failed": [], "upgraded": ["web1"], "duration_s": 125.0} | changes
    return journals.ended(result, reason=reason, **changes)


def lines(end: RolloutEnded) -> list[str]:
    return [click.unstyle(line) for line in ending_lines(end)]


def test_all_is_well() -> None:
    assert lines(ended()) == ["healthy · 2:05", "  upgraded    web1"]
    assert (
        lines(ended(duration_s=633.0, answer_wait_s=201.0))[0]
        == "healthy · 7:12 (plus 3:21 waiting for an answer)"
    )


def test_what_is_out_comes_with_the_commands_that_put_it_back() -> None:
    end = ended("degraded", "failed: web2", failed=["web2"], pending=["web3"], out_of_rotation=[WEB2])
    assert lines(end) == [
        "degraded: failed: web2 · 2:05",
        "  upgraded    web1",
        "  failed      web2",
        "  pending     web3",
        "out of rotation: web2",
        "  shop/web2 on lb1: maint (MAINT)",
        "  shop/web2 on lb2: maint (MAINT)",
        "  put back in rotation:  rolldeck ready shop web2",
        "  roll back this node:   rolldeck upgrade shop 1.4.2 --limit web2 --force-ready web2",
        "  manual commands, in order:",
        "    on lb1: set server shop/web2 state ready",
    ]


def test_what_was_out_before_is_named_too() -> None:
    before = OutOfRotation(
        node="web4",
        servers=["shop/web4 on lb1: drain"],
        intentional=True,
        commands=[],
    )
    assert lines(ended(out_of_rotation=[before]))[2:] == [
        "out of rotation: web4 (as it was before)",
        "  shop/web4 on lb1: drain",
    ]


def test_a_load_balancer_that_could_not_be_read_is_not_passed_over() -> None:
    assert (
        lines(ended("degraded", "x", unreachable_balancers=["lb2: refused"]))[-1] == "unknown: lb2: refused"
    )


def test_an_abort_is_said_once() -> None:
    assert lines(ended("aborted", "aborted by ann: Ctrl-C"))[0] == "aborted by ann: Ctrl-C · 2:05"


def test_every_result_has_a_color_and_an_exit_code_of_its_own() -> None:
    assert EXIT_CODES.keys() == RESULT_KINDS.keys() == {"healthy", "degraded", "aborted"}
    assert [int(EXIT_CODES[state]) for state in ("healthy", "degraded", "aborted")] == [0, 1, 4]


@pytest.mark.parametrize("said", HOSTILE)
def test_nothing_that_was_said_can_control_a_terminal(said: str) -> None:
    out = OutOfRotation(
        node="web2",
        servers=[said],
        intentional=False,
        commands=[BackCommand("ready", said), BackCommand("by_hand", said)],
        rollback_command=said,
    )
    for line in lines(ended("degraded", said, out_of_rotation=[out], unreachable_balancers=[said])):
        assert harmless(line)


# -- what was tried, whose it is, and how to go on ----------------------------------------------


def test_how_to_go_on_is_the_last_word() -> None:
    on = [WayOn(purpose="rollback", command="rolldeck rollback shop")]
    on.append(WayOn(purpose="resume", command="rolldeck resume shop"))
    said = lines(ended("aborted", "aborted by ann", pending=["web2"], ways_on=on))
    assert said[-2:] == ["to roll back: rolldeck rollback shop", "to finish it: rolldeck resume shop"]


def test_a_mixed_fleet_is_said_also_when_all_is_well() -> None:
    versions = {"web1": "1.5.0", "web2": "1.4.2", "web3": "1.4.2"}
    assert lines(ended(versions=versions))[-1] == "  versions    1.4.2 on web2, web3; 1.5.0 on web1"
    assert lines(ended(versions=dict.fromkeys(versions, "1.5.0"))) == lines(ended())


def test_what_somebody_else_keeps_out_has_no_command() -> None:
    out = OutOfRotation(
        node="web3",
        servers=["shop/web3 on lb1: maint (MAINT)"],
        intentional=True,
        commands=[],
        by_others=True,
    )
    said = lines(ended(out_of_rotation=[out, structs.replace(out, node="web4", since=1_700_000_000.0)]))
    assert said[2] == "out of rotation: web3 (kept out by somebody else, untouched)"
    assert re.fullmatch(
        r"out of rotation: web4 \(kept out by somebody else since 2023-11-1\d \d\d:\d\d:\d\d, untouched\)",
        said[4],
    )
    assert not [line for line in said if "rolldeck" in line or "by hand" in line]


def test_what_ready_cannot_do_is_said_before_it_is_advised() -> None:
    sick = structs.replace(WEB2, not_ready="it is not healthy: 503")
    said = lines(ended("degraded", "failed: web2", out_of_rotation=[sick]))
    assert said[5:8] == [
        "  `ready` would refuse it now: it is not healthy: 503",
        "  roll back this node:   rolldeck upgrade shop 1.4.2 --limit web2 --force-ready web2",
        "  put back in rotation:  rolldeck ready shop web2",
    ]


def test_without_a_journal_only_haproxys_own_commands_work() -> None:
    said = lines(ended("degraded", "x", out_of_rotation=[WEB2], blocked="journal /j: disk is full"))
    assert "no rolldeck command works now: journal /j: disk is full" in said
    assert said.index("  manual commands, in order:") < said.index(
        "  once that is fixed, put back in rotation:  rolldeck ready shop web2"
    )


def test_who_is_held_has_not_failed_and_is_named_once() -> None:
    said = lines(ended("degraded", "held: web2", held=["web2"], pending=["web2", "web3"]))
    assert said[2:] == ["  held        web2", "  pending     web3"]
