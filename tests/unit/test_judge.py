"""The rule that makes a verdict of polls."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.canary.joint_judge import Background, JointJudge
from orchestrator.canary.judge import Judge
from orchestrator.canary.judgement import Judgement, Slowness
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Evidence
from tests.support.canary_worlds import World, simulate

LIFETIMES = [Lifetime("lb1", "shop", f"web{number}", 144_000, 144, 3600) for number in range(1, 4)]
"""One of a thousand requests failed."""


def _poll(at: float, *servers: tuple[int, int | None], new: int = 1, duration_s: float = 1.0) -> Poll:
    """Return a poll of web1, web2, …, the first ones of which run the new version: requests and errors."""
    cells = [
        Cell(f"web{number}", f"web{number}", "new" if number <= new else "old", *server)
        for number, server in enumerate(servers, 1)
    ]
    return Poll("lb1", at, duration_s, [Stratum("shop", cells)])


def _judge(
    polls: Sequence[Poll], *, lifetimes: Sequence[Lifetime] = LIFETIMES, canary: CanarySettings | None = None
) -> Judgement:
    judge = Judge(canary or CanarySettings(), lifetimes, version="1.5.0")
    for poll in polls:
        judge.add(poll)
    return judge.judge(polls[-1].at if polls else 0.0)


def _seconds(count: int, *servers: tuple[int, int | None], new: int = 1, start: int = 0) -> list[Poll]:
    return [_poll(start + second + 1, *servers, new=new) for second in range(count)]


def test_a_version_that_fails_as_often_as_the_old_one_is_good() -> None:
    judgement = _judge(
        [_poll(at + 1, (40, 0), *[(40, int(at % 3 == node)) for node in range(3)]) for at in range(60)]
    )
    assert (judgement.state, judgement.reason, judgement.node) == ("good", "", "")
    assert (judgement.errors, judgement.requests) == (0, 2400)
    assert (judgement.other_errors, judgement.other_requests) == (60, 7200)
    assert judgement.excluded_rate == pytest.approx(0.003, abs=0.0005)
    assert judgement.compared_s == 60
    assert [found.ratio for found in judgement.detectable] == [2, 3, 5]


def test_errors_that_prove_nothing_yet_are_a_sign() -> None:
    judgement = _judge(_seconds(3, (40, 4), (40, 0), (40, 0), (40, 0)), lifetimes=[])
    assert judgement.state == "blind"
    counts = "1.5.0 fails 12 of 120 (10.0 %), the others 0 of 360 (0 %) at the same time"
    assert judgement.reason == f"{counts}, which is a sign and no proof"


def test_a_version_that_fails_more_often_is_bad_with_both_counts() -> None:
    polls = _seconds(4, (40, 8), (40, 0), (40, 0), (40, 0))
    judgement = _judge(polls)
    assert judgement.state == "bad"
    assert judgement.node == "web1"
    assert judgement.reason == "1.5.0 fails 24 of 120 (20.0 %), the others 0 of 360 (0 %) at the same time"
    assert judgement.evidence >= 20


def test_the_reason_keeps_the_counts_of_the_moment_of_proof() -> None:
    polls = _seconds(10, (40, 8), (40, 0), (40, 0), (40, 0))
    judgement = _judge(polls)
    assert "of 400" not in judgement.reason
    assert judgement.errors == 80


def test_an_old_version_that_is_the_broken_one_is_no_reason_to_stop() -> None:
    judgement = _judge(_seconds(60, (40, 0), (40, 8), (40, 8), (40, 8)), lifetimes=[])
    assert judgement.state == "good"


def test_an_incident_that_hits_all_holds_and_names_the_old_version() -> None:
    quiet = _seconds(30, (40, 0), (40, 0), (40, 0), (40, 0))
    failing = _seconds(10, (40, 20), (40, 20), (40, 20), (40, 20), start=30)
    judgement = _judge(quiet + failing)
    assert (judgement.state, judgement.cause) == ("hold", "old version")
    assert judgement.reason.startswith("the old version failed 600 of 4,800 (12.5 %) in the last minute")
    spared = _seconds(10, (40, 0), (40, 20), (40, 20), (40, 20), start=30)
    assert _judge(quiet + spared).state == "good"  # the new version may be what helps
    after = _seconds(61, (40, 0), (40, 0), (40, 0), (40, 0), start=40)
    assert _judge(quiet + failing + after).state == "good"


def test_a_single_burst_is_no_proof() -> None:
    quiet = _seconds(30, (40, 0), (40, 0), (40, 0), (40, 0))
    burst = _seconds(1, (40, 40), (40, 0), (40, 0), (40, 0), start=30)
    assert _judge(quiet + burst).state == "good"


def test_a_burst_over_four_quick_polls_is_no_proof() -> None:
    polls = [
        _poll(10 + 0.25 * number, (40, 10), (40, 0), (40, 0), (40, 0), duration_s=0.25)
        for number in range(1, 5)
    ]
    assert _judge(polls).state == "good"


@pytest.mark.parametrize(("duration_s", "count"), [(1.0, 3), (0.25, 6)])
def test_failure_of_half_of_all_requests_needs_no_proof(duration_s: float, count: int) -> None:
    canary = CanarySettings(alpha=1e-9, m=20)  # so that evidence alone would take longer

    def judge(polls: int) -> str:
        requests = round(80 * duration_s)
        return _judge(
            [
                _poll(
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
    quick = [_poll(0.25 * number, (20, 10), (20, 0), (20, 0), duration_s=0.25) for number in (1, 2, 3)]
    slow = [_poll(0.75 + number, (80, 40), (80, 0), (80, 0)) for number in (1, 2)]
    assert _judge([*quick, slow[0]], canary=canary).state != "bad"
    assert _judge([*quick, *slow], canary=canary).state == "bad"


def test_few_requests_are_no_judgement() -> None:
    assert _judge([]).state == "blind"
    assert _judge([]).reason == "1.5.0 has not got any requests"
    judgement = _judge(_seconds(7, (7, 0), (40, 0)))
    assert judgement.state == "blind"
    assert judgement.reason == "1.5.0 got only 49 of the 50 requests that it takes to judge it"
    assert judgement.excluded_rate is not None


def test_nothing_is_known_of_tcp_mode() -> None:
    judgement = _judge(_seconds(60, (40, None), (40, None), (40, None)))
    assert judgement.state == "blind"
    assert judgement.reason == "in TCP mode, HAProxy does not count the errors that clients see"
    assert judgement.requests == 0


def test_without_an_old_version_a_long_history_is_what_remains() -> None:
    assert _judge(_seconds(60, (40, 0), (40, 0), new=2)).state == "good"
    young = _judge(_seconds(60, (40, 0), (40, 0), new=2), lifetimes=[])
    assert young.state == "blind"
    assert young.reason.startswith("no server of the old version gets requests beside 1.5.0")
    failing = _judge(_seconds(60, (40, 8), (40, 8), new=2))
    assert (failing.state, failing.cause) == ("hold", "no comparison")
    assert failing.reason.startswith("1.5.0 fails 960 of 4,800 (20.0 %), normally 0.1 % fail")


def test_a_comparison_that_has_just_begun_is_one() -> None:
    spotless = [lifetime._replace(errors=0) for lifetime in LIFETIMES]
    polls = [_poll(1 + at / 2, (16, 4), (16, 0), (16, 0), (16, 0), duration_s=0.5) for at in range(3)]
    states = [_judge(polls[:number], lifetimes=spotless).state for number in range(1, 4)]
    assert states == ["blind"] * 3


def test_the_last_node_is_compared_with_the_others_of_the_new_version() -> None:
    before = _seconds(60, (40, 0), (40, 0), (40, 0), (40, 0), new=3)
    after = _seconds(20, (40, 0), (40, 0), (40, 0), (40, 8), new=4, start=60)
    judgement = _judge(before + after)
    assert (judgement.state, judgement.node) == ("bad", "web4")
    assert judgement.reason.startswith("web4 fails ")
    assert "all others 0 of " in judgement.reason


def test_the_node_is_named_whose_errors_speak_most() -> None:
    polls = _seconds(20, (40, 0), (40, 8), (40, 0), (40, 0), new=2)
    assert _judge(polls).node == "web2"


def test_each_node_of_a_bad_version_is_named() -> None:
    judge = Judge(CanarySettings(), LIFETIMES, version="1.5.0")
    found = []
    for poll in _seconds(20, (40, 8), (40, 7), (40, 0), (40, 0), new=3):
        judge.add(poll)
        found.append(judge.judge(poll.at).node)
    assert set(found) == {"", "web1", "web2"}
    resumed = Judge(CanarySettings(), LIFETIMES, version="1.5.0", evidence=judge.evidence)
    assert resumed.judge(20.0).node == found[-1]


def test_a_machine_that_fails_with_the_old_version_is_no_fault_of_the_new_one() -> None:
    judgement = _judge(_seconds(60, (40, 0), (40, 8), (40, 0), (40, 0)))
    assert (judgement.state, judgement.cause) == ("hold", "old version")
    assert judgement.reason.startswith("web2, which runs the old version, fails 480 of 2,400 (20.0 %)")


def test_retries_and_failed_checks_hold() -> None:
    def poll(at: int, *, soft: int, checks: int) -> Poll:
        bad = Cell("web1", "web1", "new", 40, 0, soft=soft, check_failures=checks)
        return Poll("lb1", at, 1.0, [Stratum("shop", [bad, Cell("web2", "web2", "old", 40, 0)])])

    soft = _judge([poll(at, soft=8, checks=0) for at in range(1, 40)])
    assert (soft.state, soft.cause) == ("hold", "retries")
    assert soft.reason.startswith(
        "1.5.0 needed 312 retries or redispatches for 1,560 requests, the others 0 for"
    )
    checks = _judge([poll(at, soft=0, checks=1) for at in range(1, 200)])
    assert (checks.state, checks.cause) == ("hold", "checks")


def test_slowness_and_load_balancers_of_which_nothing_is_known_hold() -> None:
    judge = Judge(CanarySettings(), LIFETIMES)
    for poll in _seconds(60, (40, 0), (40, 0)):
        judge.add(poll)
    slow = Slowness("hold", "2.3× its peers", slower=2.3, response_ms=23.0, other_response_ms=10.0)
    judgement = judge.judge(60.0, slowness=slow, stale=["lb2"])
    assert (judgement.state, judgement.cause) == ("hold", "slow")
    assert judgement.reason == "2.3× its peers; nothing is known from lb2 now"
    assert (judgement.slower, judgement.response_ms, judgement.other_response_ms) == (2.3, 23.0, 10.0)
    bad = judge.judge(60.0, slowness=replace(slow, state="bad", node="web1"))
    assert (bad.state, bad.node) == ("bad", "web1")


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


STREAMS = st.lists(
    st.tuples(
        st.sampled_from([0.25, 1.0]),
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STREAMS, st.integers(0, 30), st.integers(0, 20))
def test_a_resumed_judge_says_the_same_or_says_it_later(
    stream: list[tuple[float, list[tuple[int, int]]]], split: int, first_new: int
) -> None:
    at, polls = 0.0, []
    for number, (duration_s, servers) in enumerate(stream):
        at += duration_s
        found = [(requests, min(requests, errors)) for requests, errors in servers]
        polls.append(_poll(at, *found, new=1 if number >= first_new else 0, duration_s=duration_s))
    whole = Judge(CanarySettings(), LIFETIMES)
    parts = Judge(CanarySettings(), LIFETIMES)
    for number, poll in enumerate(polls):
        if number == split:
            evidence = msgspec.json.decode(msgspec.json.encode(parts.evidence), type=Evidence)
            parts = Judge(CanarySettings(), LIFETIMES, evidence=evidence)
        whole.add(poll)
        parts.add(poll)
        one, other = whole.judge(poll.at), parts.judge(poll.at)
        assert other.evidence <= one.evidence * (1 + 1e-9)
        assert (other.requests, other.other_errors) == (one.requests, one.other_errors)
        if other.state == "bad":
            assert (one.state, one.node) == ("bad", other.node)
        if other.state in ("good", "blind") and one.state in ("good", "blind"):
            assert other.state == one.state


def test_a_resumed_judge_has_all_evidence() -> None:
    judge = Judge(CanarySettings(), LIFETIMES)
    for poll in _seconds(20, (40, 1), (40, 1), (40, 0), (40, 1), start=1000):
        judge.add(poll)
    evidence = judge.evidence
    assert Judge(CanarySettings(), LIFETIMES, evidence=evidence).evidence == evidence


def test_a_judge_that_found_it_bad_is_resumed_with_that() -> None:
    judge = Judge(CanarySettings(), LIFETIMES, version="1.5.0")
    for poll in _seconds(10, (40, 8), (40, 0), (40, 0), (40, 0)):
        judge.add(poll)
    resumed = Judge(CanarySettings(), LIFETIMES, version="1.5.0", evidence=judge.evidence)
    judgement = resumed.judge(10.0)
    assert (judgement.state, judgement.node) == ("bad", "web1")
    assert judgement.reason == "1.5.0 fails 80 of 400 (20.0 %), the others 0 of 1,200 (0 %) at the same time"


def test_m_is_learned_before_the_first_return_unless_it_is_set() -> None:
    def learn(canary: CanarySettings, *, sticky: bool = False, calibrated_m: float | None = None) -> float:
        judge = Judge(canary, LIFETIMES, sticky=sticky, calibrated_m=calibrated_m)
        for second in range(1, 61):
            bursts = [(40, 0), (40, 0), (40, 0), (40, 0)]
            bursts[second % 4] = (40, 6)
            judge.add(_poll(second, *bursts, new=0))
        for poll in _seconds(10, (40, 40), (40, 0), (40, 0), (40, 0), start=60):
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
    before = _seconds(10, (40, 0), (40, 0), (40, 0), (40, 0), new=0)
    failing = _seconds(4, (40, 8), (40, 0), (40, 0), (40, 0), start=10)
    assert _judge([*before, *failing], lifetimes=young).state == "bad"
    # Few requests exclude no error rate, and others that fail too say that this is not far more than normal.
    assert _judge(failing, lifetimes=[]).state == "blind"
    dirty = [lifetime._replace(errors=20) for lifetime in young]
    assert _judge([*before, *failing], lifetimes=dirty).state == "blind"


def test_young_counters_hold_nothing_up() -> None:
    young = [Lifetime("lb1", "shop", f"web{number}", 4_000, 0, 100) for number in range(1, 4)]
    incident = _judge(_seconds(20, (40, 8), (40, 8), (40, 8), (40, 8)), lifetimes=young)
    assert incident.state == "good"
    alone = _judge(_seconds(20, (40, 8), (40, 8), new=2), lifetimes=young)
    assert alone.state == "blind"


def test_of_very_many_servers_the_journal_has_those_that_were_judged() -> None:
    many = [
        Lifetime("lb1", "shop", f"web{number}", 1_000, 10 + number, 3600, 5) for number in range(1, 1_001)
    ]
    judge = JointJudge(CanarySettings(), Background("1.5.0", many))
    assert len(msgspec.json.encode(judge.evidence)) < 30_000
    cells = [Cell(f"web{number}", f"web{number}", "old", 40, 4) for number in (1, 999)]
    cells.append(Cell("web1000", "web1000", "new", 40, 4))
    judge.add(Poll("lb1", 1.0, 1.0, [Stratum("shop", cells)]))
    evidence = judge.evidence
    assert evidence.sums["lifetime errors lb1/shop/web1000"] == 1_010
    assert "lifetime errors lb1/shop/web998" not in evidence.sums
    resumed = JointJudge(CanarySettings(), Background("1.5.0", many), evidence)
    poll = Poll("lb1", 2.0, 1.0, [Stratum("shop", cells)])
    for both in (judge, resumed):
        both.add(poll)
    assert resumed.evidence.sums["weight hard"] == judge.evidence.sums["weight hard"]
