"""A running rollout as lines: the same events as anybody else's, and nothing that moves a cursor."""

import os
import pty
import select
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest

from console.terminal.output import width
from console.terminal.progress import ERASE, Progress
from orchestrator.events import events
from orchestrator.events.events import AnyEvent, Record
from orchestrator.events.state import RolloutState
from tests.support.console_values import HOSTILE, harmless

START = events.RolloutStarted(
    application="shop",
    version="1.5.0",
    nodes=["web1", "web2"],
    batches=[["web1"], ["web2"]],
    operator="ann@here",
)


def show(*told: AnyEvent) -> RolloutState:
    state = RolloutState()
    progress = Progress(state)
    for number, event in enumerate((START, *told), 1):
        record = Record(number, 1_700_000_000.0 + number, event)
        state.apply(record)
        progress(record)
    return state


def begun(node: str = "web1") -> events.StepStarted:
    return events.StepStarted(node=node, step="drain")


def done(detail: str, node: str = "web1", *, changed: bool = True) -> events.StepDone:
    return events.StepDone(node=node, step="drain", changed=changed, detail=detail, duration_s=1.23)


def test_a_line_for_all_that_matters(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        events.BatchStarted(number=1, nodes=["web1"]),
        begun(),
        events.Waiting(node="web1", step="drain", reason="3 sessions", remaining_s=10),
        done("3 sessions ended"),
        events.NodeNote(node="web1", text="the cookie keeps clients"),
        events.NodeUpgraded(node="web1", duration_s=633, answer_wait_s=201),
        events.BatchStarted(number=2, nodes=["web2"]),
        begun("web2"),
        done("was out already", "web2", changed=False),
        events.Paused(who="ann", why="lunch"),
        events.Resumed(who="ann", duration_s=1),
        events.NodeFailed(node="web2", step="drain", error="no answer"),
        events.AbortRequested(who="ann", why="", immediate=False),
        events.AbortRequested(who="ann", why="", immediate=True),
    )
    out, said = capsys.readouterr()
    assert out == ""
    assert said.splitlines() == [
        "batch 1/2: web1",
        "web1       ✓ drain 1.2 s · 3 sessions ended",
        "! web1: the cookie keeps clients",
        "web1       ✓ upgraded in 7:12 (plus 3:21 waiting for an answer): drain 1.2",
        "batch 2/2: web2 · 1/2 nodes, about 1.2 s left",
        "web2       · drain 1.2 s · was out already",
        "paused by ann: lunch",
        "resumed by ann after 1.0 s",
        "web2       ✗ failed drain: no answer",
        "aborting, requested by ann; again cuts the running step short",
        "aborting at once, requested by ann",
    ]


@pytest.mark.parametrize("said", HOSTILE)
def test_no_text_from_outside_can_control_a_terminal(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(
        begun(),
        events.Waiting(node="web1", step="drain", reason=said, remaining_s=10),
        events.NodeNote(node="web1", text=said),
        done(said),
        events.Paused(who="ann", why=said),
        events.NodeFailed(node="web1", step="stop", error=said),
        events.ServiceLog(node="web1", step="stop", lines=[said, said]),
        events.NodeSkipped(node="web2", who=said),
    )
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert all(harmless(line) for line in lines)


@contextmanager
def terminal(patch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal of 40 columns as standard error; what is written to it can be read from the number.

    Not a fixture: pytest puts its own standard error back between a fixture and its test.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 40))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream, patch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        try:
            yield ours
        finally:
            os.close(ours)


def read(terminal: int) -> str:
    """All that was written; the kernel hands it over in pieces, a moment later."""
    sys.stderr.flush()
    written = b""
    while select.select([terminal], [], [], 0.2)[0]:
        written += os.read(terminal, 100_000)
    return written.decode()


@pytest.mark.parametrize("said", ["waiting for 12 sessions", *HOSTILE])
def test_the_live_line_never_wraps_and_leaves_nothing_behind(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal(monkeypatch) as screen:
        show(begun(), events.Waiting(node="web1", step="drain", reason=said, remaining_s=10))
        written = read(screen)
    assert written.startswith(ERASE)
    live = written.rpartition(ERASE)[2]
    assert live.startswith("◐ web1 draining")
    assert harmless(live)
    assert width(live) < 40


def test_the_live_line_goes_before_a_line_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal(monkeypatch) as screen:
        show(begun(), events.NodeFailed(node="web1", step="drain", error="no answer"))
        written = read(screen)
    assert click.unstyle(written).endswith("\rweb1       ✗ failed drain: no answer\r\n")


def test_a_question_finds_no_live_line_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal(monkeypatch) as screen:
        question = events.DecisionRequested(
            question="1", subject="web1", text="stop?", choices=["continue", "skip"]
        )
        show(begun(), done("no sessions left"), question)
        assert read(screen).endswith(ERASE)


def test_a_dumb_terminal_has_no_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal(monkeypatch) as screen:
        show(begun(), done("ended"))
        assert ERASE not in read(screen)


def test_a_standard_error_that_was_closed_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", None)
        state = show(begun(), done("ended"))
    assert state.nodes["web1"].steps["drain"].detail == "ended"
