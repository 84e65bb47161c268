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
    "version not available",
    "service manager cannot start the service",
    "SIGTERM of Rolldeck",
    "SIGKILL of Rolldeck",
    "service ignores SIGTERM",
    "service dies right after its start",
    "SIGKILL of Rolldeck during the bake time",
    "sshd of the next node hangs",
    "service dies before it listens",
    "service dies after two seconds",
    "service dies under traffic",
    "service answers 20 % with 500",
    "service answers 60 times slower",
    "service starts slowly",
    "service starts too slowly",
    "service listens, but /health is 503",
    "healthy, but the old version is running",
    "install fails",
    "install changes nothing",
    "service dies once it is in rotation",
    "SSH refused",
    "SSH connection cut",
    "sshd hangs",  # test_host_hangs.py
    "install fills the disk",
    "HAProxy restarted",
    "one of two HAProxies hangs",
    "sessions that never end",
    "clock set a day back",
    "HAProxy reloaded",
    "socket missing on one of two HAProxies",
    "clock set a day forward",
    "host key changed",
    "node down",
    "permission lowered on one of two HAProxies",
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
