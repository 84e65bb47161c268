"""The simulated rollouts of the judgement's design, run through the product's own judge.

Good versions under errors that come in bursts, on unequal nodes and with incidents: how many are stopped. Bad
ones: how many requests fail until the node is out. The design's figures stand beside; they come from another
implementation with other random numbers.
"""

import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from orchestrator.canary.settings import CanarySettings
from tests.bench.canary_cases import (
    FAILED,
    FAILED_QUICK,
    FOUND,
    GOOD,
    GOOD_QUICK,
    HELD_OUT,
    HELD_OUT_QUICK,
    Case,
)
from tests.bench.canary_hanging import measure_hanging
from tests.bench.simulations import AIM, CHUNK, find_quantile, format_percent, simulate_cases
from tests.support.canary_worlds import Outcome, simulate

SEED = 20261129
Z = 2.58  # standard errors in which 99 % are
BAD_SHARE = 0.3  # a bad version takes as many rollouts as this share of those of a good one


@dataclass(frozen=True, slots=True)
class Result:
    """What the judge made of the rollouts of a case."""

    case: Case
    outcomes: Sequence[Outcome]

    @property
    def stopped(self) -> int:
        return sum(outcome.stopped for outcome in self.outcomes)

    @property
    def values(self) -> list[float]:
        """Failed requests or seconds of those that were stopped, in order."""
        stopped = [outcome for outcome in self.outcomes if outcome.stopped]
        return sorted(outcome.duration_s if self.case.in_seconds else outcome.failed for outcome in stopped)


def measure(runs: int, page: Path | None = None) -> bool:
    """Simulate all cases, print the tables, and return whether they agree with the design.

    Args:
        runs: rollouts of good versions, for each case; of bad ones fewer.
        page: the page in which to replace the tables.
    """
    text, agrees = [], True
    groups = (
        ("Good versions that are stopped, one poll a second, 60 s a node", GOOD, False),
        ("Likewise with four polls a second in the 30 s after each return", GOOD_QUICK, False),
        ("Held out: worlds that were not looked at while the rule was chosen", HELD_OUT, False),
        ("Held out, four polls a second", HELD_OUT_QUICK, False),
        (
            "Failed requests until a bad version is out, one poll a second, m = 3 until it is learned",
            FAILED,
            True,
        ),
        ("Likewise with four polls a second, as by default", FAILED_QUICK, True),
        ("Seconds until a ratio of error rates is found, one poll a second", FOUND, True),
    )
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
        for title, cases, is_bad in groups:
            count = max(CHUNK, round(runs * BAD_SHARE)) if is_bad else runs
            results = [Result(*found) for found in simulate_cases(pool, _run, cases, count)]
            table, good = _bad_table(results) if is_bad else _good_table(results)
            agrees &= good
            text += _show_section(title, count, table)
        table, good = measure_hanging(pool, runs)
        agrees &= good
        text += _show_section("Requests that hang, four polls a second", runs, table)
    if page is not None:
        write_page(page, text)
    return agrees


def _show_section(title: str, count: int, table: Sequence[str]) -> list[str]:
    """Print a table with its title, and return its lines."""
    section = [f"**{title}** ({count:,} rollouts each)", "", *table, ""]
    print("\n".join(section), flush=True)  # noqa: T201 - the benchmark's output
    return section


def _run(case: Case, numbers: Iterable[int]) -> list[Outcome]:
    settings = CanarySettings(m=case.m)
    return [simulate(case.world, f"{SEED} {case.name} {number}", settings) for number in numbers]


def _good_table(results: Sequence[Result]) -> tuple[list[str], bool]:
    """Return the table of good versions, and whether no more are stopped than by design or as is aimed at."""
    lines = ["| errors | stopped | 95 % interval | design |  |", "| --- | --- | --- | --- | --- |"]
    agree = True
    for result in results:
        count, design = len(result.outcomes), result.case.design[0]
        low, high = _interval(result.stopped, count, 1.96)
        least, _ = _interval(result.stopped, count, Z)
        _, most = _interval(design * result.case.design_runs, result.case.design_runs, Z)
        good = least <= max(most, AIM)
        agree &= good
        lines.append(
            f"| {result.case.name} | {format_percent(result.stopped / count)}"
            f" | {format_percent(low)} to {format_percent(high)}"
            f" | {format_percent(design)} | {_mark(good)} |"
        )
    return lines, agree


def _bad_table(results: Sequence[Result]) -> tuple[list[str], bool]:
    """Return the table of bad versions, and whether medians and 90 % agree with the design, or are better."""
    lines = ["| version | found | p50 | p90 | design p50 / p90 |  |", "| --- | --- | --- | --- | --- | --- |"]
    agree = True
    for result in results:
        case, values = result.case, result.values
        shown = [
            f"{find_quantile(values, share):.0f} ± {1.96 * _error(values, share):.0f}" for share in (0.5, 0.9)
        ]
        good = not case.design_runs or all(
            find_quantile(values, share)
            <= expected + 1 + Z * _error(values, share) * sqrt(1 + len(values) / case.design_runs)
            for share, expected in zip((0.5, 0.9), case.design, strict=True)
        )
        agree &= good
        design = " / ".join(f"{value:.0f}" for value in case.design) if case.design_runs else ""
        found = format_percent(len(values) / len(result.outcomes))
        lines.append(f"| {case.name} | {found} | {' | '.join(shown)} | {design} | {_mark(good)} |")
    return lines, agree


def _error(values: Sequence[float], share: float) -> float:
    """Return the standard error of a quantile, from the values at the ranks one standard error around it."""
    count = len(values)
    if not count:
        return 0.0
    step = sqrt(share * (1 - share) / count)
    low, high = max(0.0, share - step), min(1.0, share + step)
    return max(0.5, (find_quantile(values, high) - find_quantile(values, low)) / 2)


def _interval(found: float, count: int, z: float) -> tuple[float, float]:
    """Return Wilson's interval of a share."""
    share = found / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), middle + half


def _mark(good: bool) -> str:
    return "✓" if good else "✗"


def write_page(page: Path, lines: Sequence[str], name: str = "simulations") -> None:
    """Replace what is between the two markers of this name in a page.

    Raises:
        ValueError: the page has no markers.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (begin and end):
        raise ValueError(f"{page}: expected the lines <!-- {name} --> and <!-- /{name} -->")
    body = "\n".join(["", "", *lines])
    page.write_text(before + begin + body + end + after, encoding="utf-8")
