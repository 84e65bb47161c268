"""The rule that makes a verdict of polls: when a new version is good, and when it is bad."""

from dataclasses import replace

import pytest

from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from tests.support.canary_worlds import World, simulate
from tests.support.judge_polls import LIFETIMES, judge_polls, make_poll, make_seconds


def test_a_version_that_fails_as_often_as_the_old_one_is_good() -> None:
    judgement = judge_polls(
        [make_poll(at + 1, (40, 0), *[(40, int(at % 3 == node)) for node in range(3)]) for at in range(60)]
    )
    assert (judgement.state, judgement.reason, judgement.node) == ("good", "", "")
    assert (judgement.errors, judgement.requests) == (0, 2400)
    assert (judgement.other_errors, judgement.other_requests) == (60, 7200)
    assert judgement.excluded_rate == pytest.approx(0.003, abs=0.0005)
    assert judgement.compared_s == 60
    assert [found.ratio for found in judgement.detectable] == [2, 3, 5]


def test_a_version_that_fails_more_often_is_bad_with_both_counts() -> None:
    polls = make_seconds(4, (40, 8), (40, 0), (40, 0), (40, 0))
    judgement = judge_polls(polls)
    assert judgement.state == "bad"
    assert judgement.node == "web1"
    assert judgement.reason == "1.5.0 fails 24 of 120 (20.0 %), the others 0 of 360 (0 %) at the same time"
    assert judgement.evidence >= 20


def test_the_reason_keeps_the_counts_of_the_moment_of_proof() -> None:
    polls = make_seconds(10, (40, 8), (40, 0), (40, 0), (40, 0))
    judgement = judge_polls(polls)
    assert "of 400" not in judgement.reason
    assert judgement.errors == 80


def test_an_old_version_that_is_the_broken_one_is_no_reason_to_stop() -> None:
    judgement = judge_polls(make_seconds(60, (40, 0), (40, 8), (40, 8), (40, 8)), lifetimes=[])
    assert judgement.state == "good"


def test_a_single_burst_is_no_proof() -> None:
    quiet = make_seconds(30, (40, 0), (40, 0), (40, 0), (40, 0))
    burst = make_seconds(1, (40, 40), (40, 0), (40, 0), (40, 0), start=30)
    assert judge_polls(quiet + burst).state == "good"


def test_a_burst_over_four_quick_polls_is_no_proof() -> None:
    polls = [
        make_poll(10 + 0.25 * number, (40, 10), (40, 0), (40, 0), (40, 0), duration_s=0.25)
        for number in range(1, 5)
    ]
    assert judge_polls(polls).state == "good"


@pytest.mark.parametrize(("duration_s", "count"), [(1.0, 3), (0.25, 6)])
def test_failure_of_half_of_all_requests_needs_no_proof(duration_s: float, count: int) -> None:
    canary = CanarySettings(alpha=1e-9, m=20)  # so that evidence alone would take longer

    def judge(polls: int) -> str:
        requests = round(80 * duration_s)
        return judge_polls(
            [
                make_poll(
                    duration_s * number,
                    (requests, requests // 2),
                    (requests, 0),
                    (requests, 0),
                    duration_s=duration_s,
                )
                for number in range(1, polls + 1)
            ],
            canary=canary,
        ).state

    assert judge(count - 1) != "bad"
    assert judge(count) == "bad"


def test_polls_of_different_durations_count_by_their_time() -> None:
    canary = CanarySettings(alpha=1e-9, m=20)
    quick = [make_poll(0.25 * number, (20, 10), (20, 0), (20, 0), duration_s=0.25) for number in (1, 2, 3)]
    slow = [make_poll(0.75 + number, (80, 40), (80, 0), (80, 0)) for number in (1, 2)]
    assert judge_polls([*quick, slow[0]], canary=canary).state != "bad"
    assert judge_polls([*quick, *slow], canary=canary).state == "bad"


def test_the_last_node_is_compared_with_the_others_of_the_new_version() -> None:
    before = make_seconds(60, (40, 0), (40, 0), (40, 0), (40, 0), new=3)
    after = make_seconds(20, (40, 0), (40, 0), (40, 0), (40, 8), new=4, start=60)
    judgement = judge_polls(before + after)
    assert (judgement.state, judgement.node) == ("bad", "web4")
    assert judgement.reason.startswith("web4 fails ")
    assert "all others 0 of " in judgement.reason


def test_the_node_is_named_whose_errors_speak_most() -> None:
    polls = make_seconds(20, (40, 0), (40, 8), (40, 0), (40, 0), new=2)
    assert judge_polls(polls).node == "web2"


def test_each_node_of_a_bad_version_is_named() -> None:
    judge = Judge(CanarySettings(), LIFETIMES, version="1.5.0")
    found = []
    for poll in make_seconds(20, (40, 8), (40, 7), (40, 0), (40, 0), new=3):
        judge.add(poll)
        found.append(judge.judge(poll.at).node)
    assert set(found) == {"", "web1", "web2"}
    resumed = Judge(CanarySettings(), LIFETIMES, version="1.5.0", evidence=judge.evidence)
    assert resumed.judge(20.0).node == found[-1]


def test_strata_are_not_pooled() -> None:
    """On lb1, where all fail often, the new version gets most requests: the ratio within each is 1."""
    judge = Judge(CanarySettings(m=1.25), [])
    for second in range(1, 200):
        mostly_new = [Cell("web1", "web1", "new", 90, 9), Cell("web2", "web2", "old", 10, 1)]
        mostly_old = [Cell("web1", "web1", "new", 10, 0), Cell("web2", "web2", "old", 90, 0)]
        judge.add(Poll("lb1", second, 1.0, [Stratum("shop", mostly_new)]))
        judge.add(Poll("lb2", second, 1.0, [Stratum("shop", mostly_old)]))
    judgement = judge.judge(200.0)
    assert judgement.ratio == pytest.approx(9)
    assert judgement.state == "good"


def test_m_is_learned_before_the_first_return_unless_it_is_set() -> None:
    def learn(canary: CanarySettings, *, sticky: bool = False, calibrated_m: float | None = None) -> float:
        judge = Judge(canary, LIFETIMES, sticky=sticky, calibrated_m=calibrated_m)
        for second in range(1, 61):
            bursts = [(40, 0), (40, 0), (40, 0), (40, 0)]
            bursts[second % 4] = (40, 6)
            judge.add(make_poll(second, *bursts, new=0))
        for poll in make_seconds(10, (40, 40), (40, 0), (40, 0), (40, 0), start=60):
            judge.add(poll)
        return judge.m

    assert 6 < learn(CanarySettings()) < 10
    assert learn(CanarySettings(m=3)) == 3
    assert learn(CanarySettings(), calibrated_m=12) == 12
    assert learn(CanarySettings(), calibrated_m=2) == pytest.approx(6)
    assert Judge(CanarySettings(), []).m == 5
    assert Judge(CanarySettings(), [], sticky=True).m == 10


def test_rollouts_of_simulated_versions() -> None:
    """Few rollouts; `make bench-canary` has thousands."""
    good = World(base=0.003, sigma=0.3, clump=3, burst=0.5, watch_s=30)
    assert not any(simulate(good, seed).stopped for seed in range(20))
    bad = World(base=1e-4, bad_share=0.2, only_first=True, poll_s=0.25, watch_s=30)
    outcomes = [simulate(bad, seed) for seed in range(20)]
    assert all(outcome.stopped for outcome in outcomes)
    assert sorted(outcome.failed for outcome in outcomes)[10] <= 30
    young = replace(bad, history_s=10, before_s=3, out_s=5)
    outcomes = [simulate(young, seed) for seed in range(20)]
    assert all(outcome.stopped for outcome in outcomes)
    assert sorted(outcome.failed for outcome in outcomes)[10] <= 30


def test_of_young_counters_all_requests_say_what_is_normal() -> None:
    young = [Lifetime("lb1", "shop", f"web{number}", 400, 0, 10) for number in range(1, 5)]
    before = make_seconds(10, (40, 0), (40, 0), (40, 0), (40, 0), new=0)
    failing = make_seconds(4, (40, 8), (40, 0), (40, 0), (40, 0), start=10)
    assert judge_polls([*before, *failing], lifetimes=young).state == "bad"
    # Few requests exclude no error rate, and others that fail too say that this is not far more than normal.
    assert judge_polls(failing, lifetimes=[]).state == "blind"
    dirty = [lifetime._replace(errors=20) for lifetime in young]
    assert judge_polls([*before, *failing], lifetimes=dirty).state == "blind"
