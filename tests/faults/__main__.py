"""`python -m tests.faults` runs the matrix and a hundred kills; it exits with 1 if a case ends unexpectedly.

The cases spend nearly all of their time waiting, so several of them run in parallel, each in its own process.
"""

import argparse
import multiprocessing
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.terminal.output import result
from tests.faults.cases import CASES
from tests.faults.kills import Kills, many_in_a_world
from tests.faults.managers import COLUMNS
from tests.faults.matrix import RATE, Outcome, play_case
from tests.faults.table import page


def matrix(only: str, step: str, manager: str, patience: float, jobs: Executor) -> list[Outcome]:
    """Run the cases whose names contain `only`; print each when it ends, and return them in their order."""
    chosen = [
        (number, struck, managed)
        for number, fault in enumerate(CASES)
        for managed in COLUMNS
        for struck in fault.ends_with(managed)
        if only.lower() in fault.name.lower() and step in ("", struck) and manager in ("", managed)
    ]
    playing = [jobs.submit(play_case, *case, patience) for case in chosen]
    for done in as_completed(playing):
        seconds, outcome = done.result()
        result(f"{seconds:5.1f} s  {_line(outcome)}")
    return [done.result()[1] for done in playing]


@dataclass(frozen=True, slots=True)
class Results:
    """The results that the page shows."""

    outcomes: list[Outcome]
    kills: Kills | None

    def beside(self, path: Path) -> "Results":
        """Merge the results into those of a file, in the order of the cases, and write both there."""
        if path.exists():
            before = msgspec.json.decode(path.read_bytes(), type=Results)
            played = {
                (outcome.fault, outcome.step, outcome.manager): outcome
                for outcome in [*before.outcomes, *self.outcomes]
            }
            ordered = [
                played.get((case.name, step, manager))
                for case in CASES
                for manager in COLUMNS
                for step in case.ends_with(manager)
            ]
            both = Results([found for found in ordered if found is not None], self.kills or before.kills)
        else:
            both = self
        path.write_bytes(msgspec.json.encode(both))
        return both


def _line(outcome: Outcome) -> str:
    words = "; ".join(outcome.problems) or "as promised"
    return (
        f"{outcome.fault:<41} {outcome.manager:<8} {outcome.step:<8} {outcome.ended:<9}"
        f" {outcome.failed:>3} of {outcome.served} failed"
        f"  out {','.join(outcome.out) or '-':<10} {outcome.recovered:<12} {words}  [{outcome.reason}]"
    )


def kill(runs: int, seed: int, side_by_side: int, jobs: Executor) -> Kills:
    """Divide this number of kills among processes, each with a seed of its own."""
    shares = [runs // side_by_side + (number < runs % side_by_side) for number in range(side_by_side)]
    killing = [
        jobs.submit(many_in_a_world, share, seed + number) for number, share in enumerate(shares) if share
    ]
    return Kills.together([done.result() for done in killing])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="number of kills; 0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3, help="number of cases that run in parallel")
    parser.add_argument("--fault", default="", help="run only faults whose names contain this")
    parser.add_argument("--step", default="", help="inject faults only in this step")
    parser.add_argument("--manager", default="", help="run only cases with this service manager")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="factor for the time limits, on a busy machine"
    )
    parser.add_argument(
        "--results", type=Path, help="write the results to this file, merged with those of earlier runs"
    )
    parser.add_argument("--page", type=Path, help="write the page to this file, as Markdown")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as jobs:
        outcomes = matrix(given.fault, given.step, given.manager, given.patience, jobs)
        bad = sum(bool(outcome.problems) for outcome in outcomes)
        result(f"{len(outcomes)} cases: {len(outcomes) - bad} as promised")
        killed = kill(given.runs, given.seed, given.jobs, jobs) if given.runs else None
    kept = Results(outcomes, killed)
    if given.results:
        kept = kept.beside(given.results)
    if given.page:
        given.page.write_text(page(kept.outcomes, kept.kills, RATE), encoding="utf-8")
    return 1 if bad or (killed and killed.bad) else 0


if __name__ == "__main__":
    sys.exit(main())
