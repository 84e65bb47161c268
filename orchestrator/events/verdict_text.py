"""The verdict on a new version in words, the same wherever it is shown."""

import math
import re

from orchestrator.events.base import Event
from orchestrator.events.judgement import Verdict, VerdictChanged

VERDICT_GLYPHS: dict[Verdict, str] = {"good": "✓", "hold": "!", "bad": "✗", "blind": "?"}
MAX_CHANCE = 2_000  # a smaller chance than 1 in so many is not claimed: burstiness is only estimated
MIN_CHANCE = 20  # with less evidence nothing is said about chance
MIN_SIGN = (
    3.0  # with so much evidence against a version it is not called good, even if a single burst explains it
)
MAX_RATIO = 1_000  # a larger one says no more
MAX_DETECTION_S = 3_600.0  # it says nothing about this rollout what would show later than that
_NUMBERS = re.compile(r"[\d.,]*\d")


def describe_verdict(verdict: VerdictChanged) -> str:
    """Return the verdict as one line with its state in words and the counts of both versions.

    Values are not cleaned: that is up to the reader.
    """
    return verdict_sentences(verdict)[0]


def verdict_sentences(verdict: VerdictChanged) -> list[str]:
    """Return the same line in several lengths, longest first; each of them has the state in words."""
    counts = f"{_failed(verdict.errors, verdict.requests)}{_others(verdict)}"
    match verdict.state:
        case "good":
            return _good_sentences(verdict, counts)
        case "bad":
            why, short = _why_bad(verdict), _failed_shares(verdict)
            bad = f"bad{f' ({verdict.node})' if verdict.node else ''}: "
            return [f"{bad}{why}", f"{bad}{verdict.version}: {short}", f"{bad}{verdict.version}: {counts}"]
    state = f"{verdict.state}: {verdict.reason or verdict.version}"
    if not verdict.requests or _has_counts(verdict):
        return [state]
    fewer = f"{verdict.errors:,} of {verdict.requests:,}{_others(verdict).replace(' · ', ', ')}"
    return [f"{state} · {counts}", f"{state} · {fewer}", state]


def describe_final_verdict(verdict: VerdictChanged) -> str:
    """Return the last verdict of a rollout that has ended; of a blind one that it could not be judged."""
    counts = f"{_failed(verdict.errors, verdict.requests)}{_others(verdict)}"
    match verdict.state:
        case "good":
            return f"{'not clearly good' if verdict.evidence >= MIN_SIGN else 'good'}: {counts}"
        case "blind" if not _has_counts(verdict):
            counts = f" · {counts}" if verdict.requests else ""
            return f"blind, it could not be judged: {verdict.reason or 'too little is known'}{counts}"
    return verdict_sentences(verdict)[0]


def _good_sentences(verdict: VerdictChanged, counts: str) -> list[str]:
    seen = _detectable(verdict) or _excluded(verdict)
    few = _failed(verdict.errors, verdict.requests)
    judged = "not clearly good" if verdict.evidence >= MIN_SIGN else "good so far"
    return [f"{verdict.version}: {text} · {judged}" for text in (f"{counts}{seen}", counts, few)]


def _why_bad(verdict: VerdictChanged) -> str:
    """Return why, with what the evidence says, or else with the counts of both versions."""
    chance = _chance(verdict)
    if not verdict.reason:
        own = f"{verdict.version} fails {_share(verdict.errors, verdict.requests)}"
        others = _share(verdict.other_errors, verdict.other_requests)
        return f"{own}{f', the others {others} at the same time' if verdict.other_requests else ''}{chance}"
    if chance or _has_counts(verdict):
        return f"{verdict.reason}{chance}"
    return f"{verdict.reason} · {_failed(verdict.errors, verdict.requests)}{_others(verdict)}"


def _has_counts(verdict: VerdictChanged) -> bool:
    """Return whether the reason has the counts of the new version, which are not repeated then."""
    return f"{verdict.errors:,} of {verdict.requests:,}" in verdict.reason


def _chance(verdict: VerdictChanged) -> str:
    """Return `: 50×, chance 1 in 2,000 or less` of errors that are evidence; otherwise nothing."""
    if verdict.evidence < MIN_CHANCE:
        return ""
    ratio = f"{format_ratio(verdict.ratio)}, " if verdict.ratio is not None else ""
    return f": {ratio}chance 1 in {_round_down(min(verdict.evidence, MAX_CHANCE)):,} or less"


def _failed(errors: int, requests: int) -> str:
    return f"{errors:,} of {requests:,} failed" if requests else "no requests yet"


def _failed_shares(verdict: VerdictChanged) -> str:
    text = f"failed {_share(verdict.errors, verdict.requests)}"
    if not verdict.other_requests:
        return text
    return f"{text} · others {_share(verdict.other_errors, verdict.other_requests)}"


def _others(verdict: VerdictChanged) -> str:
    if not verdict.other_requests:
        return ""
    return f" · others {verdict.other_errors:,} of {verdict.other_requests:,}"


def _share(errors: int, requests: int) -> str:
    text = f"{errors:,} of {requests:,}"
    return f"{text} ({format_percent(errors / requests)})" if requests else text


def _detectable(verdict: VerdictChanged) -> str:
    """Return the smallest ratio that would have shown by now, or else the first one that soon would."""
    found = [one for one in verdict.detectable if 0 <= one.duration_s <= MAX_DETECTION_S]
    shown = [one for one in found if one.duration_s <= verdict.compared_s]
    if shown:
        least = min(shown, key=lambda one: one.ratio)
        return f" · {least.ratio:g}× would have shown in {format_time_span(least.duration_s)}"
    if not found:
        return ""
    first = min(found, key=lambda one: one.duration_s)
    return f" · {first.ratio:g}× shows within {format_time_span(first.duration_s)}"


def _excluded(verdict: VerdictChanged) -> str:
    if verdict.excluded_rate is None or verdict.excluded_rate >= 1:
        return ""
    return f" · over {format_percent(verdict.excluded_rate)} is excluded"


def _round_down(number: float) -> int:
    """Return a number of one significant digit that is not larger."""
    digit = 10 ** int(math.log10(max(1.0, number)))
    return int(number // digit * digit)


def format_ratio(ratio: float) -> str:
    """Return a ratio with a digit behind the point where it is small: `1.6×`, `50×`."""
    if ratio > MAX_RATIO:
        return f"more than {MAX_RATIO:,}×"
    return f"{ratio:.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×"


def format_percent(share: float) -> str:
    """Return a share from 0 to 1 as a percentage; what is not zero never reads as zero."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 0.095 or not percent else f"{percent:.1g} %"


def format_time_span(seconds: float) -> str:
    """Return seconds in at most two units: `12 s`, `3 min 33 s`, `1 h 5 min`."""
    whole = max(1, round(seconds))
    for unit, larger, smaller in ((86_400, "d", "h"), (3_600, "h", "min"), (60, "min", "s")):
        if whole >= unit:
            first, rest = divmod(whole, unit)
            second = rest // {"h": 3_600, "min": 60, "s": 1}[smaller]
            return f"{first} {larger}" + (f" {second} {smaller}" if second else "")
    return f"{whole} s"


class RepeatedVerdicts:
    """Detects a verdict that only repeats the one before, with other numbers."""

    def __init__(self) -> None:
        self._last: tuple[str, ...] = ()

    def has(self, event: Event) -> bool:
        """Return whether this event is a repetition; it must be called with every event, in order."""
        if not isinstance(event, VerdictChanged):
            return False
        before = self._last
        self._last = (event.version, event.state, event.node, _NUMBERS.sub("#", event.reason))
        return self._last == before
