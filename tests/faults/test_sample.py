"""A sample of the matrix, each of these faults in one step; `make faults` plays all of them in every step."""

from pathlib import Path

import pytest

from orchestrator.events.steps import STEPS, Step
from tests.faults.cases import CASES, Fault
from tests.faults.kills import kill_and_resume
from tests.faults.matrix import play
from tests.support.rollouts import NEW, tune, world

# Left to `make faults`; most have tests of their own on real parts too: test_upgrade_*.py, test_recovery.py.
ELSEWHERE = {
    "version nowhere to be had",
    "service manager cannot start it",
    "SIGTERM of the tool",
    "SIGKILL of the tool",
    "service ignores SIGTERM",
    "dies right after its start",
    "SIGKILL of the tool while it bakes",
    "sshd of the next node hangs",
    "dies before it listens",
    "dies after two seconds",
    "dies under traffic",
    "answers 20 % with 500",
    "answers 60 times slower",
    "starts slowly",
    "starts too slowly",
    "listens, but /health is 503",
    "healthy, but the old version runs",
    "install fails",
    "install changes nothing",
    "dies once it is in rotation",
    "SSH refused",
    "SSH connection cut",
    "sshd hangs",  # test_host_hangs.py
    "install fills the disk",
    "HAProxy restarted",
    "HAProxy hangs, one of two",
    "sessions that never end",
    "clock set a day back",
    "HAProxy reloaded",
    "socket gone on one of two",
    "clock set a day forward",
    "host key changed",
    "node down",
    "permission lowered on one of two",
}


def sample() -> list[tuple[Fault, Step]]:
    """Each in another step, in turn."""
    chosen = [fault for fault in CASES if fault.name not in ELSEWHERE]
    return [
        (fault, STEPS[number % len(STEPS)] if len(fault.ends) > 1 else next(iter(fault.ends)))
        for number, fault in enumerate(chosen)
    ]


@pytest.mark.parametrize(("fault", "step"), sample(), ids=lambda value: getattr(value, "name", value))
async def test_the_fault_is_survived(tmp_path: Path, fault: Fault, step: Step) -> None:
    outcome = await play(tmp_path / "s", fault, step, rate=40)
    assert outcome.problems == ()


def test_the_sample_leaves_out_only_what_there_is() -> None:
    assert {case.name for case in CASES} >= ELSEWHERE


@pytest.mark.long  # test_recovery.py kills in each of the five steps
@pytest.mark.parametrize("after", [2.3])
async def test_killed_at_any_moment(tmp_path: Path, after: float) -> None:
    async with world(tmp_path / "s", nodes=3) as stack:
        tune(stack, "apps.shop.rollout", bake_time=0.2)
        outcome = await kill_and_resume(stack, NEW, after)
    assert outcome.problems == ()
