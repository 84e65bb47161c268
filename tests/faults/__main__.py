"""`python -m tests.faults [--runs N] [--seed N]`: exits 1 when anything was not as promised."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.faults.kills import many
from tests.integration.rollouts import NEW, OLD, tune, world

LONGEST = 9.0  # seconds that an upgrade of this world takes on a quiet machine


async def _run(runs: int, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        async with world(Path(folder) / "s", nodes=3) as stack:
            tune(stack, "apps.shop.rollout", bake=0.2)
            return await many(stack, (NEW, OLD), runs, seed, LONGEST)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return 1 if asyncio.run(_run(given.runs, given.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
