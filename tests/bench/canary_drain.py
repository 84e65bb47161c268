"""How good the forecast of a drain is, over 500 synthetic drains of four kinds of service."""

from random import Random
from statistics import fmean, median

from console.terminal.output import result
from tests.support.synthetic_drains import DEADLINE_S, MIXES, Outcome, forecast_drain

DRAINS = 125  # of each mix
SEED = 15
INSIDE = (0.70, 1.0)  # share of the true ends that may be within the 80 % interval
SOURCES = {"session ages": (True, 0), "8 earlier drains": (False, 8), "both": (True, 8)}


def measure() -> bool:
    """Print a row for each mix and source; return whether all intervals are as wide as they should be."""
    random = Random(SEED)  # noqa: S311 - a simulation
    result(f"drain forecasts, {DRAINS} for each row; the deadline is {DEADLINE_S:g} s")
    result("| sessions | source | inside 80 % | median error | busy at the deadline: said, was |")
    result("| --- | --- | --- | --- | --- |")
    good = True
    for name, kinds in MIXES.items():
        for source, (ages, earlier) in SOURCES.items():
            drains = (forecast_drain(kinds, random, ages=ages, earlier=earlier) for _ in range(DRAINS))
            found = [outcome for outcome in drains if outcome is not None]
            inside = fmean(outcome.inside for outcome in found)
            good &= INSIDE[0] <= inside <= INSIDE[1]
            result(f"| {name} | {source} | {inside:.0%} | {_errors(found)} |")
    return good


def _errors(found: list[Outcome]) -> str:
    error_s = median(outcome.error_s for outcome in found)
    said = fmean(outcome.forecast.busy_at_deadline for outcome in found)
    return f"{error_s:.1f} s | {said:.0%}, {fmean(outcome.busy for outcome in found):.0%}"
