"""`python -m tests.bench [NAME]` runs the benchmarks; it exits with 1 if a target is missed."""

import argparse
import sys
from pathlib import Path

from console.demo.stack import Transport
from tests.bench import (
    canary,
    canary_drain,
    canary_latency,
    console,
    consul,
    consul_sharing,
    fleet,
    overhead,
    startup,
    upgrades,
)

TRANSPORTS: tuple[Transport, ...] = ("unix", "tcp", "ssh")
ALL = ("startup", "overhead", "console", "fleet", "consul", "sharing")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=(*ALL, "upgrades", "canary"))
    parser.add_argument(
        "--runs",
        type=int,
        help="of `upgrades`, for each transport (10); of `canary`, rollouts of each case (1,000)",
    )
    parser.add_argument("--transport", choices=TRANSPORTS, help="of `upgrades`: only this one")
    parser.add_argument("--minutes", type=float, default=2.0, help="of `console`: how long memory is watched")
    parser.add_argument("--page", type=Path, help="of `canary`: the page in which to replace the tables")
    given = parser.parse_args()
    if given.what == "canary":
        runs = given.runs or 1000
        good = [canary_drain.measure()]  # which takes seconds
        good += [canary_latency.measure(3 * runs, given.page), canary.measure(runs, given.page)]
        return 0 if all(good) else 1
    if given.what == "upgrades":
        chosen = tuple(transport for transport in TRANSPORTS if given.transport in (None, transport))
        return 0 if upgrades.measure(given.runs or 10, chosen) else 1
    good = [
        measure()
        for name, measure in (
            ("startup", startup.measure),
            ("overhead", overhead.measure),
            ("console", lambda: console.measure(given.minutes)),
            ("fleet", fleet.measure),
            ("consul", consul.measure),
            ("sharing", consul_sharing.measure),
        )
        if given.what in (None, name)
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
