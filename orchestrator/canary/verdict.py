"""The rule that makes a verdict of evidence. Pure."""

from collections.abc import Iterator, Sequence
from math import log
from typing import TYPE_CHECKING

from orchestrator.canary import words
from orchestrator.canary.account import Account
from orchestrator.canary.comparison import Comparison
from orchestrator.canary.detectability import exclude_rate
from orchestrator.canary.judgement import HoldCause, Judgement, Slowness
from orchestrator.canary.settings import CanarySettings
from orchestrator.canary.unanswered import Waiting

if TYPE_CHECKING:
    from orchestrator.events.judgement import Verdict

_SIGN = log(3)  # as good a version as the old one hardly ever has so much against it


def find_bad_node(account: Account, settings: CanarySettings) -> str:
    """Return the node of the new version that is to leave rotation; empty: none is proven to be bad.

    Half of alpha is spent on the old version at the same time, half on the time before, and a hundredth on
    single nodes: each of them begins anew, with errors that may come in larger bursts than was learned. What
    hangs while requests time out counts like errors, for this moment only.
    """
    if account.bad_nodes:
        return _find_another(account, settings)
    hard, normality, nodes = account.hard, account.normality, account.nodes
    node, node_value = nodes.find_suspect(new=True)
    if account.is_spread and _is_frequent(hard, settings):
        proof = log(2 / settings.alpha)
        worse_than_before = account.hanging_history.log_value >= proof and normality.others_as_always
        if account.hanging_evidence.log_value >= proof or (account.is_suspicious and worse_than_before):
            return node
    if node_value >= log(100 / settings.alpha) and _is_clear(nodes.of(node, new=True), settings):
        return node
    return ""


def _find_another(account: Account, settings: CanarySettings) -> str:
    """Return one more node of a version that is proven to be bad, which fails about as much as all."""
    hard = account.hard
    if not (hard.requests and hard.exceeds(settings.ratio)):
        return ""  # a single machine was the bad one
    least_rate = max(
        0.5 * hard.errors / hard.requests, settings.ratio * (hard.other_errors + 0.5) / hard.other_requests
    )
    for node, comparison in account.nodes.new.items():
        many = comparison.errors >= settings.least_errors and comparison.spread.enough
        if node not in account.bad_nodes and many and comparison.errors >= least_rate * comparison.requests:
            return node
    return ""


def _is_clear(comparison: Comparison, settings: CanarySettings) -> bool:
    """Return whether there are enough errors, well spread, and clearly more often than elsewhere."""
    return comparison.spread.enough and _is_frequent(comparison, settings)


def _is_frequent(comparison: Comparison, settings: CanarySettings) -> bool:
    """Return whether there are enough errors, and clearly more often than elsewhere."""
    return comparison.errors >= settings.least_errors and comparison.exceeds(settings.ratio)


def describe_failure(account: Account, settings: CanarySettings, version: str) -> str:
    """Return why the new version is "bad"."""
    node = account.bad_nodes[-1]
    if account.hard.exceeds(settings.ratio):
        hanging = sum(found.requests for found in account.hanging.values() if found.counted)
        return words.describe_errors(version, account.hard, "the others") + words.describe_hanging(hanging)
    return words.describe_errors(node, account.nodes.of(node, new=True), "all others")


def judge_account(
    account: Account,
    settings: CanarySettings,
    version: str,
    slowness: Slowness,
    stale: Sequence[str],
    *,
    waiting: Waiting | None = None,
) -> Judgement:
    """Return the judgement on a new version whose errors have not proven anything.

    Args:
        account: what was learned.
        settings: thresholds.
        version: how the new version is called.
        slowness: what is known about response times.
        stale: load balancers of which nothing is known now.
        waiting: requests to the new version that get no answer.
    """
    doubts: list[tuple[HoldCause, str]] = [*_find_doubts(account, settings, version)]
    if waiting is not None:
        doubts.append(("unanswered", words.describe_waiting(waiting)))
    if slowness.state == "hold":
        doubts.append(("slow", slowness.reason))
    if stale:
        doubts.append(("stale", f"nothing is known from {', '.join(stale)} now"))
    state: Verdict = "good"
    reason = node = ""
    if slowness.state == "bad":
        state, reason, node = "bad", slowness.reason, slowness.node
    elif doubts:
        state, reason = "hold", "; ".join(reason for _, reason in doubts)
    elif blindness := _find_blindness(account, settings, version):
        state, reason = "blind", blindness
    elif account.hard.process.log_value >= _SIGN and _is_clear(account.hard, settings):
        state, reason = "blind", words.describe_undecided(version, account.hard)
    hard = account.hard
    return Judgement(
        state=state,
        reason=reason,
        node=node,
        errors=account.errors,
        requests=account.requests,
        other_errors=hard.other_errors,
        other_requests=hard.other_requests,
        ratio=_compute_ratio(hard),
        evidence=hard.process.value,
        excluded_rate=exclude_rate(account.errors, account.requests),
        slower=slowness.slower,
        response_ms=slowness.response_ms,
        other_response_ms=slowness.other_response_ms,
        compared_s=account.compared_s,
        cause=doubts[0][0] if state == "hold" else "",
    )


def _compute_ratio(comparison: Comparison) -> float | None:
    if not (comparison.requests and comparison.other_errors):
        return None
    rate, other_rate = (
        comparison.errors / comparison.requests,
        comparison.other_errors / comparison.other_requests,
    )
    return rate / other_rate


def _find_doubts(account: Account, settings: CanarySettings, version: str) -> Iterator[tuple[HoldCause, str]]:
    """Yield what speaks against going on, although nothing proves that the new version is worse."""
    doubtful = log(1 / settings.alpha)
    if account.normality.incident:
        yield "old version", words.describe_incident(account.normality.minute)
    node, value = account.nodes.find_suspect(new=False)
    of_node = account.nodes.of(node, new=False)
    # Nodes always differ; it is no news if nothing is known of what is normal for each.
    if account.normal_rate is not None and value >= doubtful and _is_clear(of_node, settings):
        yield (
            "old version",
            words.describe_errors(f"{node}, which runs the old version,", of_node, "the others like it"),
        )
    if account.soft.process.log_value >= doubtful and _is_clear(account.soft, settings):
        yield "retries", words.describe_retries(version, account.soft)
    if account.checks.process.log_value >= doubtful and _is_clear(account.checks, settings):
        yield "checks", words.describe_checks(version, account.checks)
    if account.normal_rate is not None and _fails_alone(account, settings):
        failed = (account.errors, account.requests)
        yield "no comparison", words.describe_alone(version, failed, account.normal_rate)


def _fails_alone(account: Account, settings: CanarySettings) -> bool:
    """Return whether the new version fails far more than was normal, and most of it cannot be compared."""
    enough = account.errors >= settings.least_errors and account.spread.enough
    compared = account.hard.requests
    alone = compared < settings.min_requests and compared < account.requests / 2
    return enough and alone and account.normality.new.log_value >= log(2 / settings.alpha)


def _find_blindness(account: Account, settings: CanarySettings, version: str) -> str:
    """Return why nothing can be said about the new version; empty: it can be judged."""
    least = settings.min_requests
    if account.judged_requests >= least:
        return ""
    if account.unknown_requests > account.requests:
        return "in TCP mode, HAProxy does not count the errors that clients see"
    if account.requests >= least:
        return (
            f"no server of the old version gets requests beside {version}, and HAProxy began to count too "
            "recently to know what is normal"
        )
    return words.describe_few(version, account.requests, least)
