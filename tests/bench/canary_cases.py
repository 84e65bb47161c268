"""The cases of the judgement's simulations, with the figures of its design."""

from dataclasses import dataclass, replace

from tests.support.canary_worlds import World


@dataclass(frozen=True, slots=True)
class Case:
    """A simulated world, and what the design says about it.

    Attributes:
        name: what it is.
        world: the world.
        m: `canary.m`; None: it is learned, as by default.
        design: share of good versions that are stopped, or failed requests (or seconds), p50 and p90.
        design_runs: how many rollouts that comes from.
        in_seconds: whether `design` and the result are seconds instead of failed requests.
    """

    name: str
    world: World
    m: float | None = None
    design: tuple[float, ...] = ()
    design_runs: int = 0
    in_seconds: bool = False


def _quick(world: World) -> World:
    """Return the same world with four polls a second, for 30 seconds after each return."""
    return replace(world, poll_s=0.25, out_s=10.0, watch_s=30.0, smear_s=1.0)


EVERYTHING = World(base=3e-3, sigma=0.3, clump=3, burst=0.5, incident=0.2)
BAD = World(base=1e-4, bad_share=0.2, only_first=True)

_GOOD = [
    ("errors come alone, base 0.01 %", World(base=1e-4), 0.0),
    ("errors come alone, base 1 %", World(base=1e-2), 0.0),
    ("bursts of 3, base 0.1 %", World(base=1e-3, clump=3), 0.00013),
    ("bursts of 3, base 1 %", World(base=1e-2, clump=3), 0.00013),
    ("bursts of 10, base 0.1 %", World(base=1e-3, clump=10), 0.00063),
    ("bursts of 10, base 1 %", World(base=1e-2, clump=10), 0.001),
    ("nodes differ, sigma 0.3, base 1 %", World(base=1e-2, sigma=0.3), 0.0),
    ("nodes differ, sigma 0.7, base 1 %", World(base=1e-2, sigma=0.7), 0.0),
    ("sigma 0.5, counters 10 minutes old, base 0.1 %", World(base=1e-3, sigma=0.5, history_s=600), 0.0),
    ("an incident in each rollout (×30, 60 s)", World(base=1e-3, incident=1.0), 0.0),
    (
        "sigma 0.3, bursts of 3, bursty traffic, base 0.5 %",
        World(base=5e-3, sigma=0.3, clump=3, burst=0.5),
        0.0,
    ),
    ("all of it, incident in 20 %, 2 nodes", replace(EVERYTHING, nodes=2), 0.00025),
    ("all of it, incident in 20 %, 4 nodes", EVERYTHING, 0.00025),
    ("all of it, incident in 20 %, 10 nodes", replace(EVERYTHING, nodes=10), 0.0),
    ("no history, sigma 0.3, bursts of 3", World(base=5e-3, sigma=0.3, clump=3, history_s=0), 0.00038),
]
_GOOD_QUICK = [
    ("bursts of 3, base 1 %", World(base=1e-2, clump=3), 0.0),
    ("bursts of 10, base 0.1 %", World(base=1e-3, clump=10), 0.00025),
    ("bursts of 10, base 1 %", World(base=1e-2, clump=10), 0.003),
    ("nodes differ, sigma 0.7, base 1 %", World(base=1e-2, sigma=0.7), 0.0),
    ("all of it, 2 nodes", replace(EVERYTHING, nodes=2), 0.00025),
    ("all of it, 4 nodes", EVERYTHING, 0.0),
]
_HELD_OUT = [
    (
        "6 nodes, 60/s, base 0.2 %, bursts of 5, sigma 0.5, bursty",
        World(nodes=6, rps=60, base=2e-3, clump=5, sigma=0.5, burst=0.3),
        (0.0004, 0.002),
    ),
    (
        "3 nodes, 15/s, base 2 %, bursts of 2, sigma 0.4, incident in 30 %",
        World(nodes=3, rps=15, base=2e-2, clump=2, sigma=0.4, incident=0.3),
        (0.0008, 0.0),
    ),
    (
        "5 nodes, 100/s, base 0.05 %, bursts of 8",
        World(nodes=5, rps=100, base=5e-4, clump=8),
        (0.001, 0.0004),
    ),
    (
        "4 nodes, 8/s, base 5 %, sigma 0.6, counters 20 minutes old",
        World(rps=8, base=5e-2, sigma=0.6, history_s=1200),
        (0.0018, 0.0),
    ),
    (
        "8 nodes, 25/s, base 0.3 %, bursts of 4, sigma 0.3, 120 s a node",
        World(nodes=8, rps=25, base=3e-3, clump=4, sigma=0.3, watch_s=120),
        (0.0004, 0.0),
    ),
    (
        "2 nodes, 120/s, base 0.1 %, bursts of 6, bursty",
        World(nodes=2, rps=120, base=1e-3, clump=6, burst=0.8),
        (0.0, 0.0),
    ),
]

GOOD = [Case(name, world, design=(share,), design_runs=8000) for name, world, share in _GOOD]
GOOD_QUICK = [
    Case(name, _quick(world), design=(share,), design_runs=4000) for name, world, share in _GOOD_QUICK
]
HELD_OUT = [Case(name, world, design=(shares[0],), design_runs=5000) for name, world, shares in _HELD_OUT]
HELD_OUT_QUICK = [
    Case(name, _quick(world), design=(shares[1],), design_runs=2500) for name, world, shares in _HELD_OUT
]


def _bad(name: str, design: tuple[int, int], runs: int = 600, m: float | None = 3, **changes: object) -> Case:
    return Case(name, replace(BAD, **changes), m, design, runs)  # type: ignore[arg-type]


FAILED = [
    *(
        _bad(f"20 %, {nodes} nodes, {rps}/s", design, nodes=nodes, rps=float(rps))
        for nodes, figures in (
            (2, {5: (24, 32), 40: (42, 55), 75: (72, 90), 200: (197, 227)}),
            (4, {5: (13, 16), 40: (32, 40), 75: (60, 70), 200: (160, 175)}),
            (10, {5: (8, 10), 40: (33, 40), 75: (60, 70), 200: (160, 175)}),
        )
        for rps, design in figures.items()
    ),
    _bad("20 %, 4 nodes, 40/s, base 3 %", (52, 66), m=None, base=0.03),
    _bad("20 %, 4 nodes, 40/s, bursts of 3, sigma 0.3", (52, 72), m=None, base=3e-3, clump=3.0, sigma=0.3),
    _bad("all fail, 4 nodes, 40/s", (160, 176), bad_share=1.0),
    _bad("5 %, 4 nodes, 40/s", (14, 17), bad_share=0.05, watch_s=300.0),
    _bad("1 %, 4 nodes, 40/s", (15, 18), bad_share=0.01, watch_s=300.0),
]
_QUICK_BAD = {"poll_s": 0.25, "watch_s": 60.0}
FAILED_QUICK = [
    *(
        _bad(f"20 %, {nodes} nodes, {rps}/s", design, 300, None, nodes=nodes, rps=float(rps), **_QUICK_BAD)
        for nodes, rps, design in ((2, 40, (41, 55)), (2, 75, (57, 72)), (4, 40, (21, 27)), (4, 75, (29, 38)))
    ),
    _bad("20 %, 4 nodes, 200/s", (0, 0), 0, None, rps=200.0, **_QUICK_BAD),
    _bad("all fail, 4 nodes, 40/s", (59, 71), 300, 3, bad_share=1.0, **_QUICK_BAD),
    _bad("60 % fail, 4 nodes, 40/s", (36, 45), 300, 3, bad_share=0.6, **_QUICK_BAD),
    _bad(
        "15 %, 6 nodes, 60/s, base 0.2 %, bursts of 2, sigma 0.4 (held out; 25 / 35 with a cap of 3m)",
        (0, 0),
        0,
        None,
        nodes=6,
        rps=60.0,
        base=2e-3,
        clump=2.0,
        smear_s=1.0,
        sigma=0.4,
        bad_share=0.15,
        **_QUICK_BAD,
    ),
]
_RATIO = World(base=0.01, only_first=True, watch_s=1800)
FOUND = [
    Case(name, replace(_RATIO, **changes), None, design, 400, in_seconds=True)  # type: ignore[arg-type]
    for name, design, changes in (
        ("2×, base 1 %, 4 nodes, 40/s", (213, 378), {"bad_ratio": 2.0}),
        ("3×, base 1 %, 4 nodes, 40/s", (53, 83), {"bad_ratio": 3.0}),
        ("5×, base 1 %, 4 nodes, 40/s", (16, 25), {"bad_ratio": 5.0}),
        ("2×, base 1 %, 10 nodes, 40/s", (163, 262), {"bad_ratio": 2.0, "nodes": 10}),
        ("2×, base 1 %, 4 nodes, 200/s", (43, 72), {"bad_ratio": 2.0, "rps": 200.0}),
        ("3×, base 0.1 %, 4 nodes, 40/s", (703, 1347), {"bad_ratio": 3.0, "base": 1e-3}),
        ("5×, base 0.1 %, 4 nodes, 40/s", (214, 438), {"bad_ratio": 5.0, "base": 1e-3}),
    )
]
