"""False alarms and detection of `LatencyJudge`, in simulated rollouts of one node among others.

Nodes differ, response times wander, there are incidents and warm-ups. Averages are in whole milliseconds, as
HAProxy has them. Beside each result is that of the simulation from which the rule was chosen: it began with
levels that were learned over a minute, and looked at one window after the other.
"""

import math
import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from console.terminal.output import result
from orchestrator.balancers.response_times import EXACT_RESPONSES
from orchestrator.canary.judgement import Slowness
from orchestrator.canary.latency import LatencyJudge
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from tests.bench.canary import write_page

PAGE_MARK = "response times"

DECAY = 1 - 1 / 512
HISTORY = 5_000  # responses that HAProxy has counted before
YOUNG = 120  # likewise, shortly after a reload
WORKED_ON = 2  # windows in which the node is away
WATCHED_S = 330.0


@dataclass(frozen=True)
class World:
    """One kind of rollout. Times are milliseconds, spreads standard deviations of logarithms."""

    name: str
    rps: float = 40.0  # per node
    peers: int = 3
    base: float = 50.0
    factor: float = 1.0  # of the new version
    added: float = 0.0
    nodes: float = 0.2
    wander: float = 0.15
    requests: float = 1.0  # between requests
    warm_up: float = 0.0  # so many times slower, beyond once, right after the return
    warm_up_s: float = 60.0  # after which e times less of that is left
    incident: bool = False  # everybody is three times slower from some moment on
    later: int = 0  # windows after which the new version becomes slow
    before: int = 6  # windows before the node is taken out
    history: int = HISTORY  # responses that HAProxy has counted before
    design: str = "-"  # what the design's simulation found: held, certain
    most_held: float = 100.0  # per cent of runs, at most
    least_held: float = 0.0  # likewise, at least


@dataclass
class Found:
    """What the judge said of one rollout."""

    hold_s: float | None = None
    certain: bool = False


class Server:
    """Its response times, and HAProxy's average of them."""

    def __init__(self, dice: random.Random, world: World) -> None:
        self.dice, self.world = dice, world
        self.own = dice.gauss(0, world.nodes)
        self.wander = dice.gauss(0, world.wander)
        self.average = world.base * math.exp(self.own + self.wander)
        if world.history < EXACT_RESPONSES:
            self.average *= math.exp(dice.gauss(0, self._noise(world.history)))
        self.answered = world.history

    def _noise(self, requests: float) -> float:
        """Return the standard deviation of the logarithm of the mean of so many requests."""
        return math.sqrt(math.log1p((math.exp(self.world.requests**2) - 1) / requests))

    def serve(self, requests: int, common: float, factor: float = 1.0, added: float = 0.0) -> None:
        world = self.world
        self.wander = 0.6 * self.wander + 0.8 * self.dice.gauss(0, world.wander)
        is_exact = self.answered < EXACT_RESPONSES
        kept = self.answered / (self.answered + requests) if is_exact else DECAY**requests
        # Requests behind the weighted mean.
        effective = requests if is_exact else min(requests, 1024 * (1 - kept) / (1 + kept))
        mean = world.base * math.exp(self.own + self.wander + common) * factor + added
        mean *= math.exp(self.dice.gauss(0, self._noise(effective)))
        self.average = self.average * kept + mean * (1 - kept)
        self.answered += requests


def simulate(world: World, dice: random.Random) -> Found:
    """Simulate one rollout, a poll for each window."""
    requests = max(100, round(world.rps * 10))
    window_s = requests / world.rps
    servers = [Server(dice, world) for _ in range(world.peers + 1)]
    judge = LatencyJudge(
        CanarySettings(),
        [
            Lifetime("lb", "shop", f"web{index}", world.history, 0, 1e6, math.ceil(server.average))
            for index, server in enumerate(servers)
        ],
    )
    windows = math.ceil(WATCHED_S / window_s)
    incident = dice.randrange(windows) if world.incident else windows
    common, at, found = 0.0, 0.0, Found()
    first = world.before + WORKED_ON
    for index in range(first + windows + 1):
        common = 0.6 * common + 0.8 * dice.gauss(0, 0.2)
        shared = common + (math.log(3) if index - first >= incident else 0.0)
        slow = index - first >= world.later
        passed_s = max(0.0, (index - first - 1) * window_s)
        cells = []
        for number, server in enumerate(servers):
            new = number == 0 and index >= first
            if number == 0 and world.before <= index < first:
                continue
            factor = world.factor if new and slow else 1.0
            if new:
                factor *= 1 + world.warm_up * math.exp(-passed_s / world.warm_up_s)
            server.serve(requests, shared, factor, world.added if new and slow else 0.0)
            cells.append(
                Cell(
                    f"web{number}",
                    f"web{number}",
                    "new" if new else "old",
                    requests,
                    0,
                    answered=requests,
                    response_time=math.ceil(server.average),
                    total_answered=server.answered,
                )
            )
        if index == world.before:
            judge.leave("web0")
        at += window_s
        judge.add(Poll("lb", at, window_s, [Stratum("shop", cells)]))
        note(found, judge.slowness, (index - first) * window_s)
    return found


def note(found: Found, slowness: Slowness, passed_s: float) -> None:
    if slowness.state and found.hold_s is None:
        found.hold_s = passed_s
    found.certain = slowness.certain


_NOISY = 0.3
_HEAD = (
    "| response times | held % | certain at 300 s % | seconds p50 / p90 | design: held, certain % |",
    "| --- | --- | --- | --- | --- |",
)

NULL = (
    World("as fast, 5 requests/s", rps=5, design="0, 0", most_held=0.1),
    World("as fast, 40 requests/s", design=".015, 0", most_held=0.1),
    World("as fast, 200 requests/s", rps=200, design=".005, 0", most_held=0.1),
    World("as fast, taken out at once", before=0, most_held=0.1),
    World("noisy fleet", wander=_NOISY, nodes=0.4, design=".035, .005", most_held=0.2),
    World("noisy fleet, taken out at once", wander=_NOISY, nodes=0.4, before=0, most_held=0.2),
    World("noisy, one peer", wander=_NOISY, peers=1, design=".175, .045", most_held=0.5),
    World("noisy, one peer, taken out at once", wander=_NOISY, peers=1, before=0, most_held=0.5),
    World("all become 3 times slower", incident=True, design=".005, 0", most_held=0.1),
    World("warm-up of 5 times, 60 s", warm_up=4, design="47, .03"),
    World("warm-up of 5 times, 180 s", warm_up=4, warm_up_s=180, design="97, 11"),
    World("heavy tail, 5 requests/s", requests=1.8, rps=5, design="0, 0", most_held=0.1),
    World("heavy tail, taken out at once", requests=1.8, before=0, most_held=0.1),
    World("heavy tail, at once, after a reload", requests=1.8, before=0, history=YOUNG, most_held=0.1),
)
SLOW = (
    World("+300 ms on 5 ms", base=5, added=300, design="100, 100", least_held=100),
    World("+300 ms on 5 ms, taken out at once", base=5, added=300, before=0, least_held=100),
    World(
        "+300 ms on 5 ms, at once, after a reload", base=5, added=300, before=0, history=YOUNG, least_held=100
    ),
    World("+300 ms on 5 ms, one peer, at once", base=5, added=300, before=0, peers=1, least_held=100),
    World("+300 ms on 5 ms, 5 requests/s", base=5, added=300, rps=5, design="89, 76", least_held=89),
    World("+300 ms on 5 ms, after 200 s", base=5, added=300, later=20, least_held=100),
    World("2 times", factor=2, design="45, 22", least_held=30),
    World("2 times, ten peers", factor=2, peers=10, design="53, 28", least_held=45),
    World("3 times", factor=3, design="94, 81", least_held=90),
    World("3 times, taken out at once", factor=3, before=0),
    World("3 times, noisy fleet", factor=3, wander=_NOISY, design="27, 11", least_held=20),
    World("5 times, noisy fleet", factor=5, wander=_NOISY, design="72, 49", least_held=65),
    World("1.3 times", factor=1.3, design=".9, .2", most_held=2),
    World("2 times, from 15 ms", base=15, factor=2, design="6, 2"),
)


def measure(runs: int = 3000, page: Path | None = None, seed: int = 3) -> bool:
    """Simulate all worlds and print a table; return whether the shares held are as wanted.

    Args:
        runs: of each world in which the version is as fast; a quarter of it of the others, at least 200.
        page: the page in which the table is replaced.
        seed: of the dice.
    """
    good = True
    lines = list(_HEAD)
    result("\n".join(lines))
    for world in (*NULL, *SLOW):
        count = runs if world in NULL else max(200, runs // 4)
        dice = random.Random(f"{seed} {world.name}")  # noqa: S311 - no secret
        found = [simulate(world, dice) for _ in range(count)]
        held = sorted(one.hold_s for one in found if one.hold_s is not None)
        share, certain = 100 * len(held) / count, 100 * sum(one.certain for one in found) / count
        times = f"{statistics.median(held):.0f} / {held[int(0.9 * len(held))]:.0f}" if held else "-"
        lines.append(f"| {world.name} | {share:.2f} | {certain:.2f} | {times} | {world.design} |")
        result(lines[-1])
        # One wrong hold more than wanted is chance when there are few runs.
        good &= world.least_held <= share <= world.most_held + 100 / count
    if page is not None:
        title = f"({runs:,} rollouts each, of slow versions a quarter)"
        write_page(page, [title, "", *lines, ""], PAGE_MARK)
    return good


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    sys.exit(0 if measure(runs, Path(sys.argv[2]) if len(sys.argv) > 2 else None) else 1)
