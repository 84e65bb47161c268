"""A verdict in words: both counts, the state by its name, and blind never as good."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from orchestrator.events.events import RolloutStarted, StepStarted
from orchestrator.events.judgement import DetectableRatio, Verdict, VerdictChanged
from orchestrator.events.text import RepeatedEvents, describe
from orchestrator.events.verdict_text import (
    describe_final_verdict,
    format_percent,
    format_ratio,
    format_time_span,
    verdict_sentences,
)
from tests.support.verdicts import BAD, BLIND, GOOD, HOLD


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (
            GOOD,
            "1.5.0: 0 of 3,120 failed · others 2 of 9,480 · 2× would have shown in 3 min 33 s · good so far",
        ),
        (
            structs.replace(GOOD, compared_s=60.0),
            "1.5.0: 0 of 3,120 failed · others 2 of 9,480 · 3× would have shown in 52 s · good so far",
        ),
        (
            structs.replace(GOOD, compared_s=30.0),
            "1.5.0: 0 of 3,120 failed · others 2 of 9,480 · 3× shows within 52 s · good so far",
        ),
        (
            structs.replace(GOOD, detectable=[DetectableRatio(ratio=2, duration_s=1e6)]),
            "1.5.0: 0 of 3,120 failed · others 2 of 9,480 · over 0.2 % is excluded · good so far",
        ),
        (
            structs.replace(GOOD, other_errors=0, other_requests=0, detectable=[], excluded_rate=None),
            "1.5.0: 0 of 3,120 failed · good so far",
        ),
        (HOLD, "hold: 1.5.0 is slower: 2.3× its peers · 0 of 3,120 failed · others 2 of 9,480"),
        (
            BAD,
            "bad (web1): 1.5.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %) at the same time: 50×,"
            " chance 1 in 2,000 or less",
        ),
        (
            structs.replace(BAD, evidence=330.0, ratio=None, reason="1.5.0 fails 17 of 90 (18.9 %)"),
            "bad (web1): 1.5.0 fails 17 of 90 (18.9 %): chance 1 in 300 or less",
        ),
        (
            structs.replace(BAD, evidence=2.0, reason="web1 is still 6.0× slower than its peers"),
            "bad (web1): web1 is still 6.0× slower than its peers · 18 of 92 failed · others 1 of 277",
        ),
        (
            structs.replace(BAD, evidence=2.0, node="", reason="half of the requests failed, 18 of 92"),
            "bad: half of the requests failed, 18 of 92",
        ),
        (
            BLIND,
            "blind: 1.5.0 got only 12 of the 50 requests that it takes to judge it"
            " · 0 of 12 failed · others 1 of 300",
        ),
        (
            structs.replace(
                BAD,
                state="blind",
                reason=f"{BAD.reason}, which is a sign and no proof",
                node="",
                evidence=8.0,
            ),
            "blind: 1.5.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %) at the same time,"
            " which is a sign and no proof",
        ),
        (
            structs.replace(BLIND, reason="HAProxy does not count errors in TCP mode", requests=0),
            "blind: HAProxy does not count errors in TCP mode",
        ),
    ],
)
def test_a_verdict_is_one_sentence(verdict: VerdictChanged, sentence: str) -> None:
    assert describe(verdict) == sentence


def test_shorter_sentences_keep_the_state() -> None:
    for verdict in (GOOD, HOLD, BAD, BLIND):
        lengths = [len(sentence) for sentence in verdict_sentences(verdict)]
        assert lengths == sorted(lengths, reverse=True)
        assert all(verdict.state in sentence for sentence in verdict_sentences(verdict))


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (GOOD, "good: 0 of 3,120 failed · others 2 of 9,480"),
        (structs.replace(GOOD, evidence=4.3), "not clearly good: 0 of 3,120 failed · others 2 of 9,480"),
        (
            structs.replace(BLIND, reason="1.5.0 fails 0 of 12, the others 1 of 300, which is a sign"),
            "blind: 1.5.0 fails 0 of 12, the others 1 of 300, which is a sign",
        ),
        (HOLD, "hold: 1.5.0 is slower: 2.3× its peers · 0 of 3,120 failed · others 2 of 9,480"),
        (
            BAD,
            "bad (web1): 1.5.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %) at the same time: 50×,"
            " chance 1 in 2,000 or less",
        ),
        (
            BLIND,
            "blind, it could not be judged: 1.5.0 got only 12 of the 50 requests that it takes to judge it"
            " · 0 of 12 failed · others 1 of 300",
        ),
    ],
)
def test_the_last_verdict_of_a_rollout(verdict: VerdictChanged, text: str) -> None:
    assert describe_final_verdict(verdict) == text


COUNTS = some.integers(0, 2**62)
NUMBERS = some.floats(allow_nan=False)


@given(
    verdict=some.builds(
        VerdictChanged,
        version=some.just("1.5.0"),
        state=some.sampled_from(("good", "hold", "bad", "blind")),
        errors=COUNTS,
        requests=COUNTS,
        other_errors=COUNTS,
        other_requests=COUNTS,
        ratio=some.none() | NUMBERS,
        evidence=NUMBERS,
        excluded_rate=some.none() | NUMBERS,
        detectable=some.lists(some.builds(DetectableRatio, ratio=NUMBERS, duration_s=NUMBERS), max_size=3),
        compared_s=NUMBERS,
    )
)
def test_no_number_breaks_a_sentence_and_only_good_reads_as_good(verdict: VerdictChanged) -> None:
    for sentence in (*verdict_sentences(verdict), describe_final_verdict(verdict)):
        assert ("good" in sentence) == (verdict.state == "good")
        assert len(sentence) < 500


def test_a_verdict_is_new_only_when_its_state_reason_or_node_is() -> None:
    repeats = RepeatedEvents()
    later = structs.replace(
        BLIND, requests=40, reason="1.5.0 got only 40 of the 50 requests that it takes to judge it"
    )
    stream = [BLIND, later, GOOD, structs.replace(GOOD, requests=9_000), HOLD, GOOD, BAD]
    assert [repeats.has(event) for event in stream] == [False, True, False, True, False, False, False]
    assert not repeats.has(structs.replace(BAD, node="web2"))
    assert not repeats.has(StepStarted(node="web2", step="drain"))
    assert repeats.has(structs.replace(BAD, node="web2"))
    assert not repeats.has(
        RolloutStarted(application="shop", version="1.5.0", nodes=[], batches=[], operator="ann")
    )
    assert not repeats.has(structs.replace(BAD, node="web2"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (213, "3 min 33 s"),
        (3_900, "1 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert format_time_span(seconds) == text


def test_what_is_not_zero_never_reads_as_zero() -> None:
    shares = (0.0, 0.196, 0.0036, 0.0002, 0.000004, 1.0)
    assert [format_percent(share) for share in shares] == [
        "0.0 %",
        "19.6 %",
        "0.4 %",
        "0.02 %",
        "0.0004 %",
        "100.0 %",
    ]
    assert [format_ratio(ratio) for ratio in (1.6, 50.4, 1e9)] == ["1.6×", "50×", "more than 1,000×"]


def test_every_state_has_a_word() -> None:
    states: tuple[Verdict, ...] = ("good", "hold", "bad", "blind")
    assert {verdict.state for verdict in (GOOD, HOLD, BAD, BLIND)} == set(states)
