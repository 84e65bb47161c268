"""The time that Rolldeck adds to the rollout of each node, beyond what cannot be avoided.

Not to be avoided: the sessions in flight that a drain waits for, the application's own stop and start,
HAProxy's checks until they have proven it, and the configured bake. Each is measured in the same run by
`Watch`, which polls every 5 ms and knows nothing of the tool. When the stop and the start were asked for
is written down on the node, by the commands themselves. The own health checks are configured to take
less time than HAProxy's, which run side by side with them.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.demo.haproxy import Checks
from console.demo.load import Load
from console.demo.stack import Stack, Transport
from console.terminal.output import result, table
from tests.bench.watch import Moments, Watch
from tests.support.rollouts import Run, seconds_of, tune, upgrade, world

BAKE = 1.0
TARGET = 0.3  # seconds added to each node at most, as agreed
HEADER = (
    *("NODE", "TOTAL", "SESSIONS", "STOP", "START", "CHECKS", "BAKE"),
    *("ADDED", "drain", "stop", "install", "start", "verify", "between"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One node's turn in seconds: the whole, what it had to take, and where the rest went by step."""

    node: str
    total: float  # from the end of the turn before
    sessions: float
    stop: float
    start: float
    checks: float
    steps: dict[str, float]

    @property
    def added(self) -> float:
        return self.total - self.sessions - self.stop - self.start - self.checks - BAKE

    @property
    def row(self) -> tuple[str, ...]:
        unavoidable = (self.sessions, self.stop, self.start, self.checks, BAKE)
        own = {
            "drain": self.sessions,
            "stop": self.stop,
            "install": 0.0,
            "start": self.start,
            "verify": self.checks + BAKE,
        }
        rest = [self.steps[step] - seconds for step, seconds in own.items()]
        between = self.total - sum(self.steps.values())
        return (
            self.node,
            *(f"{seconds:.3f}" for seconds in (self.total, *unavoidable, self.added, *rest, between)),
        )


async def overhead(transport: Transport, rate: float) -> bool:
    """Upgrade four nodes behind two HAProxies and print the table; False when over the target."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options: dict[str, Any] = {"transport": transport, "checks": Checks(inter=0.2)}
        async with world(Path(folder) / "s", port_check_from="node", **options) as stack:
            _prepare(stack)
            load = Load(rate, stack.frontends, slow_share=0.0)
            if rate:
                load.start()
            with Watch(stack) as watch:
                run = await upgrade(stack)
            report = await load.stop() if rate else None
            turns = _turns(run, watch)
    result(
        f"\n{transport}, {rate:g} requests/s"
        + (f": {report.total_served} served, {report.total_failed} failed" if report else "")
    )
    for line in table(HEADER, [turn.row for turn in turns], right=HEADER[1:]):
        result(line)
    worst = max(turn.added for turn in turns)
    result(f"added to a node: at most {worst:.3f} s, target {TARGET} s")
    return worst < TARGET


def _prepare(stack: Stack) -> None:
    tune(stack, "apps.shop.rollout", bake_time=BAKE)
    tune(stack, "apps.shop.health", successes=3, interval=0.1)
    tune(
        stack,
        "apps.shop.service",
        stop="date +%s.%N >asked-to-stop; ./appctl stop",
        start="date +%s.%N >asked-to-start; ./appctl start",
    )


def _turns(run: Run, watch: Watch) -> list[Turn]:
    assert run.code == 0, run.text
    before = _time(run, "rollout_started")
    turns = []
    for name, moments in watch.moments.items():
        end = _time(run, "node_upgraded", name)
        turns.append(_turn(run, name, moments, end - before))
        before = end
    return turns


def _turn(run: Run, name: str, moments: Moments, total: float) -> Turn:
    folder = moments.node.directory
    stopped = float((folder / "asked-to-stop").read_text())
    started = float((folder / "asked-to-start").read_text())
    steps = [event for event in run.events if event["event"] == "step_done" and event["node"] == name]
    return Turn(
        node=name,
        total=total,
        sessions=moments.between("out", "empty"),
        stop=moments.at["gone"] - stopped,
        start=moments.at["open"] - started,
        checks=moments.between("gated", "proven"),
        steps={step["step"]: step["duration_s"] for step in steps},
    )


def _time(run: Run, kind: str, node: str = "") -> float:
    found: list[dict[str, Any]] = [event for event in run.events if event["event"] == kind]
    return float(next(seconds_of(event) for event in found if not node or event["node"] == node))


def measure() -> bool:
    """Over each way to HAProxy; the nodes are always reached by SSH. Without load, and with it."""
    results = [
        asyncio.run(overhead(transport, rate)) for rate in (0, 200) for transport in ("unix", "tcp", "ssh")
    ]
    return all(results)
