"""SIGKILL at a random moment of an upgrade under load, then `resume`: nothing lost, nothing left out."""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from console.demo.load import Load
from console.demo.stack import Stack
from console.terminal.output import result
from tests.support.rollouts import NEW, OLD, rolldeck, started, states, tune, versions, world

RATE = 100  # requests per second
NOTHING = "nothing begun"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kill has led to.

    Attributes:
        after: seconds after the first event.
        killed: it was still running then.
        where: the step that had begun last.
        out: nodes out of rotation right after the kill.
        failed: requests, from the beginning to the end of the resume.
        left: nodes out of rotation after the resume.
        problems: what is not as promised; empty when all is.
    """

    after: float
    killed: bool
    where: str
    out: int
    failed: int
    left: int
    problems: tuple[str, ...]


async def kill_and_resume(stack: Stack, version: str, after: float) -> Outcome:
    """One upgrade, killed so many seconds after it has begun, and finished by `resume`."""
    problems = []
    async with Load(RATE, stack.frontends) as load:
        async with started(stack, "upgrade", "shop", version, "--yes", "--json") as running:
            await running.event("rollout_started")
            await asyncio.sleep(after)
            killed = running.process.returncode is None
            if killed:
                running.process.kill()
            run = await running.end()
        steps = [event for event in run.events if event["event"] == "step_started"]
        where = f"{steps[-1]['node']} {steps[-1]['step']}" if steps else NOTHING
        out = await _out(stack)
        named = (await rolldeck(stack, "status")).text
        for name in out:
            if name not in named:
                problems.append(f"status does not name {name}")
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        if resumed.code != 0:
            problems.append(f"resume exits {resumed.code}: {resumed.text[-300:]}")
        report = await load.stop()
    if report.total_failed:
        problems.append(f"{report.total_failed} requests failed: {report.failures[:2]}")
    left = await _out(stack)
    if left:
        problems.append(f"left out of rotation: {left}")
    if wrong := {name: runs for name, runs in (await versions(stack)).items() if runs != version}:
        problems.append(f"wrong version: {wrong}")
    return Outcome(after, killed, where, len(out), report.total_failed, len(left), tuple(problems))


async def _out(stack: Stack) -> list[str]:
    """Nodes that HAProxy itself says are drained or in maintenance anywhere."""
    found = {
        name
        for servers in (await states(stack)).values()
        for name, server in servers.items()
        if server.admin or not server.weight
    }
    return sorted(found)


@dataclass(slots=True)
class Kills:
    """What came of all of them.

    Attributes:
        bad: kills after which something was not as promised.
        failed: requests.
        left: nodes out of rotation after the resume.
        places: kills by the step that had begun last.
    """

    runs: int
    seed: int
    bad: int = 0
    failed: int = 0
    left: int = 0
    places: dict[str, int] = field(default_factory=dict)

    @classmethod
    def together(cls, parts: Sequence["Kills"]) -> "Kills":
        """The sum of several, under the first one's seed; the others' are the numbers after it."""
        whole = cls(sum(part.runs for part in parts), parts[0].seed)
        for part in parts:
            whole.bad += part.bad
            whole.failed += part.failed
            whole.left += part.left
            for place, number in part.places.items():
                whole.places[place] = whole.places.get(place, 0) + number
        return whole


async def many(stack: Stack, turns: tuple[str, str], runs: int, seed: int, longest: float = 6.0) -> Kills:
    """Kill again and again, and say what came of outcome.

    Args:
        stack: the world.
        turns: the versions, in turn.
        runs: kills that have to meet a running upgrade; one that had ended by itself does not count.
        seed: of the moments.
        longest: seconds, the latest moment.
    """
    chosen = random.Random(seed)  # noqa: S311 - moments, not secrets
    kills = Kills(runs, seed)
    for number in count():
        if sum(kills.places.values()) == runs:
            break
        outcome = await kill_and_resume(stack, turns[number % 2], chosen.uniform(0, longest))
        kills.bad += bool(outcome.problems)
        kills.failed += outcome.failed
        kills.left += outcome.left
        if outcome.killed:
            place = outcome.where.split()[-1] if outcome.where != NOTHING else "no step yet"
            kills.places[place] = kills.places.get(place, 0) + 1
        words = "; ".join(outcome.problems) or "as promised"
        where = outcome.where if outcome.killed else "had ended"
        result(
            f"{sum(kills.places.values()):>4}  {outcome.after:5.2f} s  {where:<16} out {outcome.out}  {words}"
        )
    told = ", ".join(f"{number} in {place}" for place, number in kills.places.items())
    result(f"{runs} kills, seed {seed}: {runs - kills.bad} as promised; {told}")
    return kills


def many_in_a_world(runs: int, seed: int) -> Kills:
    """`many`, in a new world of three nodes."""

    async def in_a_world() -> Kills:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            async with world(Path(folder) / "s", nodes=3) as stack:
                tune(stack, "apps.shop.rollout", bake_time=0.2)
                return await many(stack, (NEW, OLD), runs, seed)

    return asyncio.run(in_a_world())
