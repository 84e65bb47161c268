"""`python -m tests.bench [startup | overhead | upgrades]`: exits 1 when a target is missed."""

import argparse
import sys

from console.demo.stack import Transport
from tests.bench import overhead, startup, upgrades

TRANSPORTS: tuple[Transport, ...] = ("unix", "tcp", "ssh")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("startup", "overhead", "upgrades"))
    parser.add_argument("--runs", type=int, default=10, help="of `upgrades`, for each transport")
    parser.add_argument("--transport", choices=TRANSPORTS, help="of `upgrades`: only this one")
    given = parser.parse_args()
    if given.what == "upgrades":
        chosen = tuple(each for each in TRANSPORTS if given.transport in (None, each))
        return 0 if upgrades.measure(given.runs, chosen) else 1
    good = [
        part.measure()
        for name, part in (("startup", startup), ("overhead", overhead))
        if given.what in (None, name)
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
