"""Events of schema 1 that are in no stored journal: questions, answers, and what was left out at the end."""

from typing import Any

import msgspec
import pytest

from orchestrator.events.events import (
    AbortRequested,
    AnyEvent,
    DecisionMade,
    DecisionRequested,
    NodeNote,
    Resumed,
    RolloutEnded,
    Waiting,
)
from orchestrator.events.ways_back import BackCommand, OutOfRotation
from orchestrator.journal.entries import decode_event
from orchestrator.journal.migrations import upcast


def decode(**fields: Any) -> AnyEvent:
    """Decode a row as schema 1 wrote it."""
    return decode_event(msgspec.json.encode({"schema": 1, "seq": 1, "at": 1.0, **fields}))


@pytest.mark.parametrize(
    ("subject", "text", "choices", "kind", "step"),
    [
        ("web1", "install?", ["go", "skip", "abort"], "step", "install"),
        ("web1", "verify?", ["go", "abort"], "step", "verify"),
        ("web1", "start with web1?", ["go", "skip", "abort"], "node", None),
        ("batch 2 of 3", "web3, web4: go on?", ["go", "abort"], "batch", None),
        ("web1", "drain failed: 2 sessions left", ["retry", "skip", "abort"], "failure", None),
        ("web1", "drain?", ["retry", "abort"], "failure", None),
        ("inventory", "web9 was added", ["go", "abort"], "change", None),
    ],
)
def test_the_kind_of_an_old_question_is_read_from_its_words(
    subject: str, text: str, choices: list[str], kind: str, step: str | None
) -> None:
    found = decode(event="asked", question="q1", subject=subject, text=text, choices=choices)
    assert isinstance(found, DecisionRequested)
    assert (found.question, found.subject, found.text) == ("q1", subject, text)
    assert (found.kind, found.step) == (kind, step)
    assert found.choices == ["continue" if choice == "go" else choice for choice in choices]


@pytest.mark.parametrize(("written", "choice"), [("go", "continue"), ("skip", "skip"), ("abort", "abort")])
def test_an_old_answer_is_one_of_the_choices_of_today(written: str, choice: str) -> None:
    found = decode(event="answered", question="q1", subject="web1", choice=written, who="ann")
    assert found == DecisionMade(
        question="q1", subject="web1", choice=choice, who="ann", via="", uid=-1, credential=""
    )


@pytest.mark.parametrize("immediate", [True, False])
def test_an_old_abort_was_immediate_or_not(immediate: bool) -> None:
    found = decode(event="abort_requested", who="ann", why="fire", at_once=immediate)
    assert isinstance(found, AbortRequested)
    assert (found.who, found.why, found.immediate) == ("ann", "fire", immediate)


@pytest.mark.parametrize(("reason", "baking"), [("baking", True), ("2 sessions on lb1", False)])
def test_only_the_words_of_an_old_wait_said_that_a_node_bakes(reason: str, baking: bool) -> None:
    found = decode(event="waiting", node="web1", step="verify", reason=reason, left=4.5)
    assert found == Waiting(node="web1", step="verify", reason=reason, remaining_s=4.5, baking=baking)


def test_old_notes_and_pauses_keep_what_they_say() -> None:
    assert decode(event="noted", node="web1", text="seconds: 3") == NodeNote(node="web1", text="seconds: 3")
    assert decode(event="resumed", who="ann", seconds=60.5) == Resumed(
        who="ann", duration_s=60.5, via="", uid=-1, credential=""
    )


COMMANDS = {
    "rolldeck ready shop web1": "ready",
    "rolldeck upgrade shop 2.0 --limit web1": "upgrade",
    "lb1: set server shop/web1 state drain; set server shop/web1 health down": "prove",
    "lb1: set server shop/web1 state ready": "by_hand",
    "web1: consul maint -disable": "by_hand",
}


def end(**out: Any) -> OutOfRotation:
    """Return what was left out by the end of a rollout as schema 1 wrote it."""
    left = {"node": "web1", "where": ["shop/web1 on lb1: maint"], "on_purpose": False, **out}
    lists: dict[str, list[str]] = {"upgraded": [], "failed": ["web1"], "skipped": [], "interrupted": []}
    ended = decode(
        event="rollout_ended",
        result="aborted",
        reason="web1 failed",
        untouched=["web2"],
        unseen=["lb2: no answer"],
        seconds=12.5,
        out_of_rotation=[left],
        **lists,
    )
    assert isinstance(ended, RolloutEnded), ended
    assert (ended.pending, ended.unreachable_balancers, ended.duration_s) == (
        ["web2"],
        ["lb2: no answer"],
        12.5,
    )
    (found,) = ended.out_of_rotation
    assert (found.node, found.servers) == ("web1", ["shop/web1 on lb1: maint"])
    return found


def test_the_kinds_of_old_commands_are_read_from_their_words() -> None:
    """They decide what is shown as the way back, so that none may be taken for another."""
    found = end(commands=list(COMMANDS), go_back="rolldeck upgrade shop 1.0 --limit web1")
    assert found.commands == [BackCommand(kind, text) for text, kind in COMMANDS.items()]  # type: ignore[arg-type]
    assert found.rollback_command == "rolldeck upgrade shop 1.0 --limit web1"
    assert not found.intentional


def test_kinds_that_were_written_count_where_each_command_has_one() -> None:
    command = "rolldeck ready shop web1"
    assert end(commands=[command], kinds=["by_hand"]).commands == [BackCommand("by_hand", command)]
    assert end(commands=[command], kinds=[]).commands == [BackCommand("ready", command)]
    assert end(commands=[command], kinds=["by_hand", "prove"]).commands == [BackCommand("ready", command)]
    assert end(commands=[], on_purpose=True).intentional


def test_an_event_of_todays_schema_is_left_as_it_is() -> None:
    fields = {"event": "waiting", "reason": "baking", "left": 1.0}
    assert upcast(fields, 2) == fields
    assert upcast(fields, 1) == {"event": "waiting", "reason": "baking", "remaining_s": 1.0, "baking": True}
    assert upcast({"event": "of another program"}, 1) == {"event": "of another program"}
