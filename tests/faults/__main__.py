"""`python -m tests.faults`: the matrix and a hundred kills; exits 1 when anything is not as promised."""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.output.text import result
from tests.faults.cases import CASES
from tests.faults.kills import Kills, many
from tests.faults.matrix import RATE, Outcome, play
from tests.faults.table import page
from tests.integration.rollouts import NEW, OLD, tune, world


async def matrix(only: str, step: str) -> list[Outcome]:
    """Every case whose name contains `only`, one after the other; each is said as it ends."""
    outcomes = []
    for fault in CASES:
        for each in fault.ends:
            if only.lower() in fault.name.lower() and step in ("", each):
                with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                    begin = time.monotonic()
                    outcome = await play(Path(folder) / "s", fault, each)
                outcomes.append(outcome)
                result(f"{time.monotonic() - begin:5.1f} s  {_line(outcome)}")
    return outcomes


@dataclass(frozen=True, slots=True)
class Results:
    """What is on the page."""

    outcomes: list[Outcome]
    kills: Kills | None

    def beside(self, path: Path) -> "Results":
        """With those that stand in a file already, in the order of the cases; all of it is kept there."""
        if path.exists():
            before = msgspec.json.decode(path.read_bytes(), type=Results)
            played = {(each.fault, each.step): each for each in [*before.outcomes, *self.outcomes]}
            ordered = [played.get((case.name, step)) for case in CASES for step in case.ends]
            both = Results([each for each in ordered if each is not None], self.kills or before.kills)
        else:
            both = self
        path.write_bytes(msgspec.json.encode(both))
        return both


def _line(each: Outcome) -> str:
    words = "; ".join(each.problems) or "as promised"
    return (
        f"{each.fault:<38} {each.step:<8} {each.ended:<9} {each.failed:>3} of {each.served} failed"
        f"  out {','.join(each.out) or '-':<10} {each.recovered:<12} {words}  [{each.reason}]"
    )


async def kill(runs: int, seed: int) -> Kills:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        async with world(Path(folder) / "s", nodes=3) as stack:
            tune(stack, "apps.shop.rollout", bake=0.2)
            return await many(stack, (NEW, OLD), runs, seed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="kills; 0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", default="", help="only those whose name contains this")
    parser.add_argument("--step", default="", help="only in this step")
    parser.add_argument("--results", type=Path, help="keep them there, beside those of earlier calls")
    parser.add_argument("--page", type=Path, help="write the table there, as Markdown")
    given = parser.parse_args()
    outcomes = asyncio.run(matrix(given.fault, given.step))
    bad = sum(bool(each.problems) for each in outcomes)
    result(f"{len(outcomes)} cases: {len(outcomes) - bad} as promised")
    killed = asyncio.run(kill(given.runs, given.seed)) if given.runs else None
    kept = Results(outcomes, killed)
    if given.results:
        kept = kept.beside(given.results)
    if given.page:
        given.page.write_text(page(kept.outcomes, kept.kills, RATE), encoding="utf-8")
    return 1 if bad or (killed and killed.bad) else 0


if __name__ == "__main__":
    sys.exit(main())
