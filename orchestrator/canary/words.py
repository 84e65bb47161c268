"""The reasons of a judgement in words, always with the numbers of both sides, never a score alone. Pure."""

from orchestrator.canary.comparison import Comparison
from orchestrator.canary.normality import Minute
from orchestrator.canary.unanswered import WAITING_S, Waiting


def format_share(count: float, total: float) -> str:
    """Format a share as a percentage, with one decimal or two significant digits: `19.6 %`, `0.02 %`."""
    percent = 100 * count / total if total else 0.0
    if not percent or percent >= 100:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.1 else f"{percent:.2g} %"


def format_count(count: int, total: int) -> str:
    """Format how many of all: `18 of 92 (19.6 %)`."""
    return f"{count:,} of {total:,} ({format_share(count, total)})"


def describe_errors(subject: str, comparison: Comparison, others: str) -> str:
    """Return: `1.5.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %) at the same time`."""
    own = format_count(comparison.errors, comparison.requests)
    rest = format_count(comparison.other_errors, comparison.other_requests)
    return f"{subject} fails {own}, {others} {rest} at the same time"


def describe_hanging(requests: float) -> str:
    """Return what is added to errors: `; 12 more have no answer yet`."""
    return f"; {requests:.0f} more have no answer yet" if requests >= 1 else ""


def describe_undecided(version: str, comparison: Comparison) -> str:
    """Return why nothing is certain yet: errors that are a sign, and no proof."""
    return f"{describe_errors(version, comparison, 'the others')}, which is a sign and no proof"


def describe_incident(minute: Minute) -> str:
    """Return why the old version's errors are a reason to wait."""
    failed = format_count(minute.other_errors, minute.other_requests)
    normal = format_share(minute.expected, minute.other_requests)
    return f"the old version failed {failed} in the last minute, normally {normal}: this is no time to go on"


def describe_retries(version: str, comparison: Comparison) -> str:
    """Return what tells of errors that no client noticed."""
    own = f"{comparison.errors:,} retries or redispatches for {comparison.requests:,} requests"
    rest = f"{comparison.other_errors:,} for {comparison.other_requests:,}"
    return f"{version} needed {own}, the others {rest} at the same time"


def describe_checks(version: str, comparison: Comparison) -> str:
    """Return what tells of failed health checks."""
    return (
        f"{version} failed {comparison.errors:,} health checks, the others {comparison.other_errors:,} "
        "at the same time"
    )


def describe_waiting(waiting: Waiting) -> str:
    """Return what tells of requests that get no answer."""
    return (
        f"{waiting.requests:,} requests to {waiting.node} have been waiting for an answer for more than "
        f"{WAITING_S:.0f} s; servers with the old version have {waiting.others:.0f} in flight"
    )


def describe_alone(version: str, failed: tuple[int, int], normal_rate: float) -> str:
    """Return what tells of errors when there is no old version to compare with."""
    return (
        f"{version} fails {format_count(*failed)}, normally {format_share(normal_rate, 1)} fail, "
        "and no server runs the old version to compare it with"
    )


def describe_few(version: str, requests: int, least: int) -> str:
    """Return why too few requests are no judgement."""
    if not requests:
        return f"{version} has not got any requests"
    return f"{version} got only {requests:,} of the {least:,} requests that it takes to judge it"
