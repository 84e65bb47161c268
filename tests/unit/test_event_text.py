import pytest
from msgspec import structs

from orchestrator.events import events
from orchestrator.events.events import AnyEvent
from orchestrator.events.text import _SENTENCES, describe, describe_choice, list_details
from orchestrator.events.ways_back import BackCommand, OutOfRotation, list_way_lines, make_ready_command


def test_every_event_but_commands_has_a_sentence() -> None:
    kinds = set(AnyEvent.__args__)
    assert kinds - set(_SENTENCES) == {events.CommandFinished, events.CommandSending}


def test_what_comes_from_outside_is_no_format() -> None:
    assert describe(events.NodeNote(node="web1", text="{x}")) == "note: {x}"


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            events.Waiting(node="web1", step="drain", reason="3 sessions", remaining_s=42),
            "waiting, timeout in 42 s: 3 sessions",
        ),
        (
            events.Waiting(node="web1", step="verify", reason="baking", remaining_s=9, baking=True),
            "waiting, 9.0 s left: baking",
        ),
        (
            events.ManualChangeStarted(
                action="weight", nodes=["web1"], weight=50, override=[], operator="ann"
            ),
            "manual change by ann: weight web1 to 50",
        ),
        (
            events.ManualChangeStarted(
                action="drain", nodes=["web1", "web2"], weight=0, override=["web2"], operator="ann"
            ),
            "manual change by ann: drain web1, web2; below the floor for web2",
        ),
        (
            events.ManualChangeStarted(
                action="maint", nodes=["web1"], weight=0, override=[], operator="ann", reason="INC-7 {x}"
            ),
            "manual change by ann: maint web1: INC-7 {x}",
        ),
        (
            events.RolloutStarted(
                application="shop",
                version="2.0",
                nodes=["web1"],
                batches=[["web1"]],
                operator="ann",
                reason="INC-7",
            ),
            "ann starts shop → 2.0 on web1: INC-7",
        ),
        (events.ManualChangeFinished(nodes=["web1"], servers=["x"], error=""), "the manual change was done"),
        (
            events.ManualChangeFinished(nodes=["web1"], servers=[], error="the lock is lost"),
            "the manual change failed: the lock is lost",
        ),
        (events.Paused(who="ann", why="", via="socket"), "paused by ann via this machine's socket"),
    ],
)
def test_sentences(event: AnyEvent, sentence: str) -> None:
    assert describe(event) == sentence


def test_servers_and_a_services_output_stand_below_the_sentence() -> None:
    read = ["shop/web1 on lb1: maint"]
    assert list_details(events.ManualChangeFinished(nodes=["web1"], servers=read, error="")) == read
    assert list_details(events.ServiceLog(node="web1", step="start", lines=["a", "b"])) == ["a", "b"]
    assert list_details(events.StepStarted(node="web1", step="drain")) == []


def test_what_cannot_work_now_is_not_the_first_way_back() -> None:
    commands = [
        make_ready_command("shop", "web1"),
        BackCommand("prove", "lb1: set server shop/web1 health down"),
    ]
    out = OutOfRotation(
        node="web1", servers=[], intentional=False, commands=commands, rollback_command="rolldeck upgrade x"
    )
    by_hand = ["heading", "by_hand"]
    assert [line.kind for line in list_way_lines(out)] == ["rolldeck", "rolldeck", *by_hand]
    assert [line.kind for line in list_way_lines(out, blocked=True)] == [*by_hand, "rolldeck", "rolldeck"]
    refused = list_way_lines(structs.replace(out, not_ready="its service does not run"))
    assert [line.text for line in refused[:3]] == [
        "its service does not run",
        "rolldeck upgrade x",
        "rolldeck ready shop web1",
    ]
    assert "wait until it reads DRAIN" in list_way_lines(out)[2].label


def test_each_choice_means_the_same_wherever_it_is_offered() -> None:
    meanings = [describe_choice(choice) for choice in ("continue", "retry", "skip", "abort")]
    assert meanings == ["continue", "try it again", "leave it as it is, next node", "end the rollout"]
    assert describe_choice("skip", touched=True) == "leave it out, next node"
    assert describe_choice("back", version="1.4.2") == "back to 1.4.2, this node only"
