"""A failed rollout and its rollback have one combined result."""

import click
import pytest

from console.terminal.rollout_text import ending_lines
from orchestrator.engine.result import add_refusal, combine_with_rollback
from orchestrator.events.events import RolloutEnded
from orchestrator.events.ways_back import BackCommand, OutOfRotation
from tests.unit.test_rollout_text import ended

OUT = OutOfRotation(
    node="web2",
    servers=["shop/web2 on lb1: maint"],
    intentional=False,
    commands=[BackCommand("ready", "rolldeck ready shop web2")],
)
FAILED = ended(
    "degraded",
    "failed: web2",
    upgraded=["web1"],
    failed=["web2"],
    pending=["web3"],
    out_of_rotation=[OUT],
    versions={"web1": "1.5.0", "web3": "1.4.2"},
)
BOTH = {"web1": "1.4.2", "web2": "1.4.2"}


def said(end: RolloutEnded) -> list[str]:
    return [click.unstyle(line) for line in ending_lines(end)]


def test_all_of_it_was_rolled_back() -> None:
    back = ended(upgraded=[], rolled_back=["web2", "web1"], versions=BOTH | {"web3": "1.4.2"}, duration_s=5.0)
    together = combine_with_rollback(FAILED, back, BOTH)
    assert (together.result, together.out_of_rotation) == ("degraded", [])
    assert said(together) == [
        "degraded: failed: web2; rolled back · 2:10",
        "  upgraded and rolled back: web1 (1.4.2, in rotation)",
        "  failed and rolled back: web2 (1.4.2, in rotation)",
        "  pending     web3",
    ]


def test_a_node_with_nothing_to_roll_back_counts_as_back() -> None:
    together = combine_with_rollback(
        FAILED, ended(upgraded=[], versions={"web2": "1.4.2"}), {"web2": "1.4.2"}
    )
    assert together.rolled_back == ["web2"]
    assert together.versions == {"web1": "1.5.0", "web2": "1.4.2", "web3": "1.4.2"}


@pytest.mark.parametrize("outcome", ["failed", "interrupted"])
def test_a_rollback_that_failed_says_where_each_node_is_now(outcome: str) -> None:
    out = [
        OutOfRotation(
            node="web1",
            servers=["shop/web1 on lb1: maint"],
            intentional=False,
            commands=[BackCommand("ready", "x")],
        )
    ]
    back = ended(
        "degraded",
        "failed: web1",
        upgraded=[],
        rolled_back=["web2"],
        versions={"web2": "1.4.2"},
        out_of_rotation=out,
        **{outcome: ["web1"]},
    )
    together = combine_with_rollback(FAILED, back, BOTH)
    assert "web1" in getattr(together, outcome)
    assert together.upgraded == []
    assert together.reason == "failed: web2; the rollback was degraded (failed: web1)"
    assert [entry.node for entry in together.out_of_rotation] == ["web1"]
    assert "web1" not in together.versions, "it may have either"


def test_what_was_not_to_be_rolled_back_is_as_the_rollout_has_left_it() -> None:
    back = ended(upgraded=[], rolled_back=["web1"], versions={"web1": "1.4.2"})
    assert combine_with_rollback(FAILED, back, {"web1": "1.4.2"}).out_of_rotation == [OUT]


def test_a_rollback_that_was_refused_loses_nothing() -> None:
    refused = said(add_refusal(FAILED, "lb2: cannot be read"))
    assert refused[0] == "degraded: failed: web2; the rollback was refused: lb2: cannot be read · 2:05"
    assert "out of rotation: web2" in refused
    assert "  put back in rotation:  rolldeck ready shop web2" in refused
