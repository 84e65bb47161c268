"""Trials of the judgement: a rollout on real nodes under random load, watched from outside.

What clients saw is counted by the clients, and what was in rotation is read from HAProxy, without the code
that is tested. The verdicts are those that Rolldeck says itself.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.demo.haproxy import Checks
from console.demo.load import Load
from console.demo.stack import Stack
from console.demo.websockets import WebSockets
from tests.support.aged_balancer import aged
from tests.support.arrivals import bursts, poisson
from tests.support.rollouts import OLD, Run, Running, seconds_of, started, tune, versions
from tests.support.stacks import TunedStack

NEW = "1.6.0"
FIRST = "web1"  # the node that gets the new version first
POLL_S = 0.05  # between two looks at what is in rotation
STOPPED = "0"  # srv_op_state of a server that gets no traffic
VERDICT_FIELDS = (
    *("state", "reason", "node", "errors", "requests", "other_errors", "other_requests"),
    *("ratio", "evidence", "slower", "response_ms", "other_response_ms"),
)

Intervention = Callable[[Stack, Running], Awaitable[None]]
"""What somebody does to the stack, or to the running command, in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried.

    Attributes:
        name: in tables.
        new: fields of `Release` of the new version.
        old: likewise of the old version.
        rps: requests per second and node.
        bursty: whether the rate of requests changes from second to second.
        warm_up_s: of load before the rollout.
        age_s: seconds that HAProxy seems to be older than it is; counters of ten minutes are a history.
        rollout: settings of `[apps.shop.rollout]`.
        canary: settings of `[apps.shop.canary]`.
        intervene: what happens in the middle.
        timeout_s: after which the rollout is aborted by SIGINT.
        seed: of load and failures.
        nodes: how many.
        websockets: per node, held open through HAProxy for all of that time.
        instances: of HAProxy.
        haproxy: its executable.
        backend_lines: further lines of the backend in its configuration.
        server_timeout: `timeout server` of the backend.
    """

    name: str
    new: Mapping[str, Any] = field(default_factory=dict)
    old: Mapping[str, Any] = field(default_factory=dict)
    rps: float = 40.0
    bursty: bool = False
    warm_up_s: float = 10.0
    age_s: int = 3600
    rollout: Mapping[str, Any] = field(default_factory=dict)
    canary: Mapping[str, Any] = field(default_factory=dict)
    intervene: Intervention | None = None
    timeout_s: float = 300.0
    seed: int = 0
    nodes: int = 4
    websockets: int = 0
    instances: int = 1
    haproxy: str = "haproxy"
    backend_lines: Sequence[str] = ()
    server_timeout: str = "1s"


@dataclass(slots=True)
class Rotation:
    """When each node was in rotation, by the states that HAProxy shows.

    Attributes:
        changes: seconds of the loop's clock, node, and whether it is in rotation from then on.
    """

    changes: list[tuple[float, str, bool]] = field(default_factory=list)
    _now: dict[str, bool] = field(default_factory=dict)

    async def watch(self, stack: Stack) -> None:
        """Look until cancelled."""
        while True:
            with suppress(OSError, TimeoutError):
                await self.look(stack)
            await asyncio.sleep(POLL_S)

    async def look(self, stack: Stack) -> None:
        """Look once. Raises OSError and TimeoutError."""
        clock = asyncio.get_running_loop().time
        for name, is_in in (await self._read(stack)).items():
            if self._now.get(name, True) is not is_in:
                self.changes.append((clock(), name, is_in))
            self._now[name] = is_in

    @property
    def out(self) -> list[str]:
        """The nodes that were out at the last look."""
        return sorted(name for name, is_in in self._now.items() if not is_in)

    async def _read(self, stack: Stack) -> dict[str, bool]:
        """Return whether each node is in rotation anywhere."""
        found = dict.fromkeys(stack.nodes, False)
        for instance in stack.instances.values():
            lines = (await instance.ask("show servers state shop")).strip().splitlines()
            names = lines[1].removeprefix("# ").split()
            for line in lines[2:]:
                row = dict(zip(names, line.split(), strict=False))
                serves = row["srv_admin_state"] == "0" and row["srv_op_state"] != STOPPED
                found[row["srv_name"]] |= serves and row["srv_uweight"] != "0"
        return found

    def moment(self, node: str, is_in: bool, after: float = 0.0) -> float | None:
        """Return when a node first came in or went out after a moment; None when it never did."""
        found = (at for at, name, now in self.changes if name == node and now is is_in and at > after)
        return next(found, None)


class TrialStack(TunedStack):
    """A stack whose old version has faults too."""

    def __init__(self, directory: Path, trial: Trial) -> None:
        super().__init__(
            directory,
            nodes=trial.nodes,
            instances=trial.instances,
            haproxy=trial.haproxy,
            backend_lines=[f"timeout server {trial.server_timeout}", *trial.backend_lines],
            start_delay=0.1,
            checks=Checks(inter=0.2),
        )
        self._trial = trial

    def _plan(self) -> None:
        super()._plan()
        for version, fields in ((OLD, self._trial.old), (NEW, self._trial.new)):
            self.add_release(version, **{**fields, "seed": self._trial.seed + fields.get("seed", 0)})


async def try_out(place: Path, trial: Trial) -> dict[str, Any]:
    """Run a rollout and return what became of it, as values that JSON can carry.

    Args:
        place: a short folder.
        trial: what is tried.
    """
    rng = random.Random(trial.seed)  # noqa: S311 - no secret
    clock = asyncio.get_running_loop().time
    async with TrialStack(place, trial) as stack, AsyncExitStack() as exits:
        _configure(stack, trial)
        if trial.age_s:
            await _age(stack, trial.age_s, exits)
        rate = trial.rps * trial.nodes
        load = Load(
            rate,
            stack.frontends,
            keep_alive_share=0.8,
            slow_share=0.0,
            gaps=bursts(rng, rate) if trial.bursty else poisson(rng),
            retry=False,
            timeout=5.0,
        )
        websockets = await exits.enter_async_context(
            WebSockets(trial.websockets * trial.nodes, stack.frontends)
        )
        rotation = Rotation()
        watching = asyncio.create_task(rotation.watch(stack))
        try:
            async with load:
                load_began = clock()
                await asyncio.sleep(trial.warm_up_s)
                began = clock()
                run = await _roll_out(stack, trial)
                took = clock() - began
                await rotation.look(stack)
                report = await load.stop()
        finally:
            watching.cancel()
        failures = [(load_began + failure.at, failure.problem) for failure in report.failures]
        return {
            "case": trial.name,
            "rps": trial.rps,
            "seed": trial.seed,
            "code": run.code,
            "seconds": round(took, 1),
            "served": report.total_served,
            "failed": report.total_failed,
            "slowest_s": round(max(report.slowest.values(), default=0.0), 2),
            "websockets": {
                name: getattr(websockets, name) for name in ("opened", "closed", "cut", "failed", "failures")
            },
            "problems": dict(Counter(problem for _, problem in failures)),
            **_describe_first(rotation, [at for at, _ in failures], began),
            "others_drained": _others_drained(rotation),
            "out_at_end": rotation.out,
            "versions": dict(await versions(stack)),
            **_describe_run(run),
        }


async def _age(stack: Stack, age_s: int, exits: AsyncExitStack) -> None:
    for name, instance in stack.instances.items():
        place = stack.directory / f"{name}-aged.sock"
        await exits.enter_async_context(aged(instance.socket, place, age_s))
        tune(stack, f"haproxy.{name}", socket=f"unix://{place}")


def _configure(stack: Stack, trial: Trial) -> None:
    tune(stack, "apps.shop.access", port_check_from="console")
    tune(stack, "apps.shop.health", successes=2, interval=0.2)
    settings = {"bake_time": 5, "min_healthy": 0.5, "drain_timeout": 10, "maint_grace_period": 2}
    tune(stack, "apps.shop.rollout", **{**settings, **trial.rollout})
    if trial.canary:
        with stack.config_path.open("a") as file:
            file.write("\n[apps.shop.canary]\n")
        tune(stack, "apps.shop.canary", **trial.canary)


async def _roll_out(stack: Stack, trial: Trial) -> Run:
    """Run the upgrade; one that was killed is resumed."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        if trial.intervene is not None:
            await trial.intervene(stack, running)
        run = await _end(running, trial.timeout_s)
    if run.code != -signal.SIGKILL:
        return run
    async with started(stack, "resume", "shop", "--yes", "--json") as running:
        resumed = await _end(running, trial.timeout_s)
    return Run(resumed.code, run.out + resumed.out, run.err + resumed.err)


async def _end(running: Running, timeout_s: float) -> Run:
    try:
        async with asyncio.timeout(timeout_s):
            await running.process.wait()
    except TimeoutError:
        running.signal(signal.SIGINT)
    return await running.end()


def _describe_first(rotation: Rotation, failures: Sequence[float], began: float) -> dict[str, Any]:
    """Describe how the first node fared: seconds, and how many requests failed since it was back."""
    back = rotation.moment(FIRST, True, began)
    if back is None:
        return {"back_s": None, "failed_since": None, "first_failure_s": None, "out_s": None}
    out = rotation.moment(FIRST, False, back)
    since = sorted(at for at in failures if at > back - POLL_S)
    return {
        "back_s": round(back - began, 2),
        "failed_since": len(since),
        "first_failure_s": round(since[0] - back, 2) if since else None,
        "out_s": round(out - back, 2) if out else None,
    }


def _others_drained(rotation: Rotation) -> list[str]:
    """Return the nodes but the first that left rotation."""
    return sorted({name for _, name, is_in in rotation.changes if not is_in} - {FIRST})


def _describe_run(run: Run) -> dict[str, Any]:
    """Describe what Rolldeck said: its verdicts when they changed, and how it ended."""
    events = run.events
    began = seconds_of(events[0]) if events else 0.0
    verdicts: list[dict[str, Any]] = []
    for event in events:
        if event["event"] == "verdict" and (not verdicts or event["state"] != verdicts[-1]["state"]):
            said = {name: event.get(name) for name in VERDICT_FIELDS}
            verdicts.append({"after_s": round(seconds_of(event) - began, 2), **said})
    named = {
        "failures": [
            {name: event.get(name) for name in ("node", "step", "error")}
            for event in events
            if event["event"] == "node_failed"
        ],
        "ended": events[-1] if events else None,
        "notes": [event["text"] for event in events if event["event"] == "note" and event.get("text")],
    }
    named |= {
        name: next((event for event in reversed(events) if event["event"] == name), None)
        for name in ("baked", "traffic")
    }
    return {"verdicts": verdicts, **named, "stderr": run.err[-2000:]}
