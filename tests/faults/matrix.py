"""A case of the matrix: an upgrade under load, the fault in one of its steps, and the recovery."""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.demo.load import Load, Report
from orchestrator.events.steps import Step
from tests.faults.cases import CASES, Fault
from tests.faults.managers import Manager
from tests.faults.scene import Scene, Truth, scene
from tests.support.processes import thaw
from tests.support.rollouts import NEW, OLD, Run, rolldeck, started, versions
from tests.support.wait import until

RATE = 100  # requests per second
INTO_THE_STEP = 0.25  # seconds after its beginning

Truths = dict[str, dict[str, Truth]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        manager: of the nodes' service.
        ended: how the rollout ended, and why in its own words.
        failed: requests, and how many were served.
        out: nodes out of rotation between the end and the recovery.
        recovered: what brought everything back; "none needed" when nothing was out.
        problems: what is not as promised; empty when all is.
    """

    fault: str
    step: Step
    manager: Manager
    ended: str
    reason: str
    served: int
    failed: int
    out: tuple[str, ...]
    recovered: str
    problems: tuple[str, ...]


async def play(
    place: Path,
    fault: Fault,
    step: Step,
    manager: Manager = "command",
    rate: float = RATE,
    patience: float = 1.0,
) -> Outcome:
    """One case from its beginning to its end, in a new world, with so many requests per second."""
    expected = fault.ends_with(manager)[step]
    async with scene(place, manager, patience) as world, fault.setting(world):
        await fault.prepare(world)
        problems: list[str] = []
        async with Load(rate, world.stack.frontends) as load:
            run = await _struck(world, fault, step, refused=expected == "refused")
            ended, reason = _ending(run)
            if ended != expected:
                problems.append(f"ended {ended} ({reason}), expected {expected}")
            if ended != "healthy" and fault.words not in run.text:
                problems.append(f"does not say {fault.words!r}: {_errors(run) or reason}")
            truth = await _seen(world)
            if ended == "refused":
                problems += await _touched(world, truth)
            elif ended == "killed":
                problems += await _unnamed(world, truth)
            else:
                problems += [*_told_wrong(run, truth), *await _versions_told_wrong(world, run)]
            await fault.mend(world)
            problems += await _status_wrong(world)
            recovered = await _recover(world, fault, ended, problems)
            report = await load.stop()
        problems += await _not_back(world, OLD if fault.recovery == "rollback" else NEW)
    problems += _lost(report, fault)
    return Outcome(
        fault.name,
        step,
        manager,
        ended,
        reason,
        report.total_served,
        report.total_failed,
        tuple(_out(truth)),
        recovered,
        tuple(problems),
    )


async def _struck(world: Scene, fault: Fault, step: Step, *, refused: bool) -> Run:
    if refused:  # no step begins
        return await rolldeck(world.stack, "upgrade", "shop", NEW, "--yes", "--json")
    async with started(world.stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("step_started", node="web1", step=step)
        await asyncio.sleep(INTO_THE_STEP)
        await fault.strike(world, running)
        return await running.end()


def _ending(run: Run) -> tuple[str, str]:
    if run.code < 0:
        return "killed", ""
    if run.code == 3 and not run.events:
        return "refused", ""
    return run.ended["result"], run.ended["reason"]


def _errors(run: Run) -> list[str]:
    return [event["error"] for event in run.events if event["event"] == "node_failed"]


async def _seen(world: Scene) -> Truths:
    """A load balancer that hangs cannot say what is true; it does not change while it hangs."""
    for instance in world.stack.instances.values():
        thaw(instance.pid)
    return await world.truth()


def _out(truth: Truths) -> list[str]:
    """Nodes that are not as they were before the rollout, as far as somebody decided it."""
    return sorted(
        {
            n
            for servers in truth.values()
            for n, server in servers.items()
            if server.admin or server.weight != 1
        }
    )


async def _touched(world: Scene, truth: Truths) -> list[str]:
    """What has changed although the upgrade was refused."""
    problems = [f"{node} is out, and the upgrade was refused" for node in _out(truth)]
    running = await versions(world.stack)
    return problems + [f"{node} runs {version}" for node, version in running.items() if version != OLD]


def _told_wrong(run: Run, truth: Truths) -> list[str]:
    """What the end says of the rotation, against what HAProxy says."""
    told = {node["node"] for node in run.ended["out_of_rotation"]}
    unhealthy = {n for servers in truth.values() for n, server in servers.items() if not server.in_rotation}
    blind = {balancer.partition(":")[0] for balancer in run.ended["unreachable_balancers"]} & truth.keys()
    problems = [f"{node} is out, and nobody says so" for node in _out(truth) if node not in told]
    if not blind:
        problems += [f"{node} is said to be out, and is not" for node in sorted(told - unhealthy)]
    for out in run.ended["out_of_rotation"]:
        if not out["intentional"] and not out["commands"]:
            problems.append(f"no way back is named for {out['node']}")
    return problems


async def _unnamed(world: Scene, truth: Truths) -> list[str]:
    """Who was killed could say nothing: `status` has to name what is out, and what finishes it."""
    said = (await rolldeck(world.stack, "status")).err
    problems = [f"status does not name {n}" for n in _out(truth) if f"{n} was left by rollout 1" not in said]
    if _out(truth) and "rolldeck resume shop" not in said:
        problems.append("status does not say how to finish it")
    return problems


async def _versions_told_wrong(world: Scene, run: Run) -> list[str]:
    running = await versions(world.stack)
    wanted = dict.fromkeys(run.ended["upgraded"], NEW) | dict.fromkeys(run.ended["pending"], OLD)
    return [
        f"{n} runs {running[n]}, not {expected}" for n, expected in wanted.items() if running[n] != expected
    ]


async def _status_wrong(world: Scene) -> list[str]:
    """What `status` says now, against what HAProxy says; and that it names whom a rollout has left."""
    said = await rolldeck(world.stack, "status", "--json")
    truth = await world.truth()
    problems = []
    told: dict[tuple[str, str], dict[str, Any]] = {
        (row["load_balancer"], row["server"]): row for row in said.events if row["kind"] == "server"
    }
    words = {0: "ready", 1: "maint", 8: "drain"}
    for instance, servers in truth.items():
        for node, server in servers.items():
            seen = told.get((instance, node))
            if seen is None or seen["admin"] != words.get(server.admin & 9, "?"):
                problems.append(f"status says {seen} of {node} on {instance}, which is {server}")
    return problems


async def _recover(world: Scene, fault: Fault, ended: str, problems: list[str]) -> str:
    if ended == "healthy":
        return "none needed"
    what = (fault.recovery, "shop", *([NEW] if fault.recovery == "upgrade" else []))
    recovered = await rolldeck(world.stack, *what, "--yes", "--json")
    if recovered.code != 0:
        problems.append(f"{fault.recovery} exits {recovered.code}: {recovered.text[-600:]}")
    return fault.recovery


async def _not_back(world: Scene, version: str) -> list[str]:
    async def up() -> bool:
        return all(
            server.in_rotation for servers in (await world.truth()).values() for server in servers.values()
        )

    problems = []
    try:
        await until(up, timeout_s=20)  # a HAProxy that was restarted has to check everything anew
    except TimeoutError:
        problems.append(f"not all are back: {await world.truth()}")
    running = await versions(world.stack)
    return problems + [f"{node} runs {runs}" for node, runs in running.items() if runs != version]


def _lost(report: Report, fault: Fault) -> list[str]:
    if not report.total_failed or fault.loses:
        return []
    return [f"{report.total_failed} requests failed: {[failure.problem for failure in report.failures[:2]]}"]


def play_case(number: int, step: Step, manager: Manager, patience: float) -> tuple[float, Outcome]:
    """One case in a world of its own, and the seconds that it took."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        outcome = asyncio.run(play(Path(folder) / "s", CASES[number], step, manager, patience=patience))
    return time.monotonic() - begin, outcome
