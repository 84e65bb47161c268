"""Good and bad versions that the judgement is tried on, and what happens in the middle of a rollout."""

import asyncio
import signal

from console.demo.stack import Stack
from tests.support.canary_trials import FIRST, Trial
from tests.support.rollouts import Running
from tests.support.stacks import reload_haproxy

MIDDLE_S = 2.0  # from the return of the first node to what happens in the middle


async def first_is_back(running: Running) -> None:
    """Wait until the first node's bake is about to begin, and then a while."""
    await running.event("step_started", node=FIRST, step="verify")
    await asyncio.sleep(MIDDLE_S)


async def reload_all(stack: Stack, running: Running) -> None:
    await first_is_back(running)
    for instance in stack.instances.values():
        await reload_haproxy(instance)


async def clear_counters(stack: Stack, running: Running) -> None:
    await first_is_back(running)
    for instance in stack.instances.values():
        await instance.ask("clear counters all")


async def kill_it(stack: Stack, running: Running) -> None:
    await first_is_back(running)
    running.signal(signal.SIGKILL)


async def break_database(stack: Stack, running: Running) -> None:
    await first_is_back(running)
    (stack.directory / "incident").write_text("0.3")


async def stop_database(stack: Stack, running: Running) -> None:
    await first_is_back(running)
    (stack.directory / "incident").write_text("1")


LONG = {"bake_time": 30}
FEW = {"error_share": 0.05}  # it takes seconds until they are proof
INCIDENT = {"incident_file": "../incident"}  # from a node's directory
DIRTY = {"error_share": 0.01, "error_run": 3.0}
PACED = {"drain_timeout": 3, "on_remaining_sessions": "pace"}
OTHER = {"seed": 1_000_000}  # good versions fail at other moments than the old one

CASES = {
    trial.name: trial
    for trial in (
        Trial(name="errors", new={"error_share": 0.2}),
        Trial(name="resets", new={"error_share": 0.2, "error_kind": "reset"}),
        Trial(name="silence", new={"error_share": 0.2, "error_kind": "silence"}),
        Trial(
            name="hangs",  # for longer than the rollout would take
            new={"error_share": 0.2, "error_kind": "silence"},
            server_timeout="30s",
            timeout_s=60.0,
        ),
        Trial(name="dies", new={"exit_at_request": 50}),
        Trial(name="all-fail", new={"error_share": 1.0}),
        Trial(name="few-errors", new=FEW, rollout=LONG),
        Trial(name="slow", new={"answer_s": 0.302}, timeout_s=600.0),
        Trial(name="no-traffic", rps=0.02),
        Trial(name="reload", new=FEW, intervene=reload_all, rollout=LONG),
        Trial(name="clear", new=FEW, intervene=clear_counters, rollout=LONG),
        Trial(name="kill", new=FEW, intervene=kill_it, rollout=LONG),
        Trial(name="good-reload", new=DIRTY | OTHER, old=DIRTY, intervene=reload_all, rollout=LONG),
        Trial(name="good-clear", new=DIRTY | OTHER, old=DIRTY, intervene=clear_counters, rollout=LONG),
        Trial(name="good-kill", new=DIRTY | OTHER, old=DIRTY, intervene=kill_it, rollout=LONG),
        Trial(name="incident", new=INCIDENT, old=INCIDENT, intervene=break_database, rollout=LONG),
        Trial(name="incident-all", new=INCIDENT, old=INCIDENT, intervene=stop_database, rollout=LONG),
        Trial(
            name="ramp",
            new={"error_share": 0.2},
            rps=200,
            nodes=2,
            backend_lines=["default-server weight 100"],
            rollout={"ramp": [10, 50, 100]},
        ),
        Trial(name="ramp-none", new={"error_share": 0.2}, rps=200, nodes=2),
        Trial(
            name="magnet",
            old={"answer_s": 0.05},
            new={"error_share": 1.0},
            backend_lines=["balance leastconn"],
        ),
        Trial(
            name="websockets", new={"error_share": 0.2, "error_kind": "reset"}, websockets=30, rollout=PACED
        ),
        Trial(name="good"),
        Trial(name="good-websockets", new=DIRTY | OTHER, old=DIRTY, websockets=30, rollout=PACED),
        Trial(name="good-dirty", new=DIRTY | OTHER, old=DIRTY, bursty=True),
    )
}
