"""A terminal that goes away during a rollout costs the live line, and nothing else."""

import os
import pty
import sys
from pathlib import Path

import pytest

from console.terminal.progress import Progress
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.state import RolloutState

STARTED = events.RolloutStarted(
    application="shop", version="2.0", nodes=["web1"], batches=[["web1"]], operator="me"
)


def test_a_terminal_that_hangs_up_does_not_stop_the_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with Path(os.ttyname(slave)).open("w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        state = RolloutState()
        progress = Progress(state)

        def tell(event: events.AnyEvent) -> None:
            record = Record(1, 0.0, event)
            state.apply(record)
            progress(record)

        tell(STARTED)
        tell(events.StepStarted(node="web1", step="drain"))
        assert os.read(master, 4096)  # the live line was there
        os.close(master)
        tell(events.Waiting(node="web1", step="drain", reason="sessions: 3", remaining_s=5.0))
        tell(events.StepStarted(node="web1", step="stop"))
    os.close(slave)
    assert state.nodes["web1"].step == "stop"
