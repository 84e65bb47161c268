"""Rollouts of good and bad versions on real nodes: what the judgement stops, how soon, and at which price.

`python -m tests.bench.canary_rollouts CASE ... --rps 40 --runs 10 --out FILE` runs them one after the other
and appends a JSON line for each; `--table FILE ...` prints the table of what was run before.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from console.terminal.output import result, table
from tests.support.canary_cases import CASES
from tests.support.canary_trials import Trial, try_out


async def run_all(trials: Iterable[Trial], out: Path) -> None:
    """Run them one after the other, and append a line for each."""
    for trial in trials:
        with tempfile.TemporaryDirectory(prefix="trial-") as folder:
            done = await try_out(Path(folder) / "s", trial)
        done = {"at": time.strftime("%H:%M:%S"), "machine_load": round(os.getloadavg()[0], 1), **done}
        with out.open("a") as file:
            file.write(json.dumps(done) + "\n")
        states = " ".join(verdict["state"] for verdict in done["verdicts"])
        result(
            f"{done['at']} load {done['machine_load']:>4} {done['case']:<11} {done['rps']:>5g} rps"
            f" exit {done['code']} failed {done['failed_since']} out {done['out_s']}"
            f" others {','.join(done['others_drained']) or '-'} {done['seconds']} s  {states}"
        )


HEADER = (
    *("CASE", "RPS", "N", "EXIT 0", "FAILED", "MAX", "OUT S", "MAX", "OTHERS", "SECONDS", "EVER BAD"),
    "LAST VERDICTS",
)


def show(lines: Iterable[str]) -> None:
    """Print a row for each case and rate."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        done = json.loads(line)
        groups[done["case"], done["rps"]].append(done)
    rows = [_row(name, rps, group) for (name, rps), group in sorted(groups.items())]
    for text in table(HEADER, rows, right=HEADER[1:-1]):
        result(text)


def _row(name: str, rps: float, group: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    failed = [done["failed_since"] for done in group if done["failed_since"] is not None]
    out = [done["out_s"] for done in group if done["out_s"] is not None]
    last = [done["verdicts"][-1]["state"] if done["verdicts"] else "none" for done in group]
    return (
        name,
        f"{rps:g}",
        str(len(group)),
        str(sum(done["code"] == 0 for done in group)),
        *_middle_and_most(failed, "g"),
        *_middle_and_most(out, ".1f"),
        str(sum(bool(done["others_drained"]) for done in group)),
        f"{median(done['seconds'] for done in group):.1f}",
        str(sum("bad" in [verdict["state"] for verdict in done["verdicts"]] for done in group)),
        " ".join(f"{state} {last.count(state)}" for state in sorted(set(last))),
    )


def _middle_and_most(values: Sequence[float], form: str) -> tuple[str, str]:
    return (format(median(values), form), format(max(values), form)) if values else ("", "")


def _settings(given: Sequence[str]) -> dict[str, Any]:
    return {key: json.loads(value) for key, _, value in (text.partition("=") for text in given)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.canary_rollouts", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}")
    parser.add_argument("--rps", type=float, nargs="*", help="requests per second and node")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next ones count up")
    parser.add_argument("--warm-up", type=float, help="seconds of load before each rollout")
    parser.add_argument("--age", type=int, help="seconds that HAProxy seems older than it is; 0: no history")
    parser.add_argument("--haproxy", default="haproxy", help="its executable")
    parser.add_argument("--rollout", nargs="*", default=(), metavar="KEY=VALUE", help="of its rollout")
    parser.add_argument("--canary", nargs="*", default=(), metavar="KEY=VALUE", help="of its canary")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "canary-rollouts.jsonl")
    parser.add_argument("--table", type=Path, nargs="*", help="print what these files have, and run nothing")
    given = parser.parse_args()
    if given.table:
        show(line for file in given.table for line in file.read_text().splitlines())
        return
    trials = []
    for seed, name in product(range(given.seed, given.seed + given.runs), given.cases):
        trial = replace(CASES[name], seed=seed, haproxy=given.haproxy)
        if given.age is not None:
            trial = replace(trial, age_s=given.age)
        if given.warm_up is not None:
            trial = replace(trial, warm_up_s=given.warm_up)
        trial = replace(trial, rollout={**trial.rollout, **_settings(given.rollout)})
        trial = replace(trial, canary={**trial.canary, **_settings(given.canary)})
        trials += [replace(trial, rps=rps) for rps in given.rps or [trial.rps]]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(run_all(trials, given.out))


if __name__ == "__main__":
    main()
