"""Verdicts of polls that are neither good nor bad: what is held for, and what nobody can know."""

from dataclasses import replace

from orchestrator.canary.judge import Judge
from orchestrator.canary.judgement import Slowness
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from tests.support.judge_polls import LIFETIMES, judge_polls, make_poll, make_seconds


def test_errors_that_prove_nothing_yet_are_a_sign() -> None:
    judgement = judge_polls(make_seconds(3, (40, 4), (40, 0), (40, 0), (40, 0)), lifetimes=[])
    assert judgement.state == "blind"
    counts = "1.5.0 fails 12 of 120 (10.0 %), the others 0 of 360 (0 %) at the same time"
    assert judgement.reason == f"{counts}, which is a sign and no proof"


def test_an_incident_that_hits_all_holds_and_names_the_old_version() -> None:
    quiet = make_seconds(30, (40, 0), (40, 0), (40, 0), (40, 0))
    failing = make_seconds(10, (40, 20), (40, 20), (40, 20), (40, 20), start=30)
    judgement = judge_polls(quiet + failing)
    assert (judgement.state, judgement.cause) == ("hold", "old version")
    assert judgement.reason.startswith("the old version failed 600 of 4,800 (12.5 %) in the last minute")
    spared = make_seconds(10, (40, 0), (40, 20), (40, 20), (40, 20), start=30)
    assert judge_polls(quiet + spared).state == "good"  # the new version may be what helps
    after = make_seconds(61, (40, 0), (40, 0), (40, 0), (40, 0), start=40)
    assert judge_polls(quiet + failing + after).state == "good"


def test_few_requests_are_no_judgement() -> None:
    assert judge_polls([]).state == "blind"
    assert judge_polls([]).reason == "1.5.0 has not got any requests"
    judgement = judge_polls(make_seconds(7, (7, 0), (40, 0)))
    assert judgement.state == "blind"
    assert judgement.reason == "1.5.0 got only 49 of the 50 requests that it takes to judge it"
    assert judgement.excluded_rate is not None


def test_nothing_is_known_of_tcp_mode() -> None:
    judgement = judge_polls(make_seconds(60, (40, None), (40, None), (40, None)))
    assert judgement.state == "blind"
    assert judgement.reason == "in TCP mode, HAProxy does not count the errors that clients see"
    assert judgement.requests == 0


def test_without_an_old_version_a_long_history_is_what_remains() -> None:
    assert judge_polls(make_seconds(60, (40, 0), (40, 0), new=2)).state == "good"
    young = judge_polls(make_seconds(60, (40, 0), (40, 0), new=2), lifetimes=[])
    assert young.state == "blind"
    assert young.reason.startswith("no server of the old version gets requests beside 1.5.0")
    failing = judge_polls(make_seconds(60, (40, 8), (40, 8), new=2))
    assert (failing.state, failing.cause) == ("hold", "no comparison")
    assert failing.reason.startswith("1.5.0 fails 960 of 4,800 (20.0 %), normally 0.1 % fail")


def test_a_comparison_that_has_just_begun_is_one() -> None:
    spotless = [lifetime._replace(errors=0) for lifetime in LIFETIMES]
    polls = [make_poll(1 + at / 2, (16, 4), (16, 0), (16, 0), (16, 0), duration_s=0.5) for at in range(3)]
    states = [judge_polls(polls[:number], lifetimes=spotless).state for number in range(1, 4)]
    assert states == ["blind"] * 3


def test_a_machine_that_fails_with_the_old_version_is_no_fault_of_the_new_one() -> None:
    judgement = judge_polls(make_seconds(60, (40, 0), (40, 8), (40, 0), (40, 0)))
    assert (judgement.state, judgement.cause) == ("hold", "old version")
    assert judgement.reason.startswith("web2, which runs the old version, fails 480 of 2,400 (20.0 %)")


def test_retries_and_failed_checks_hold() -> None:
    def poll(at: int, *, soft: int, checks: int) -> Poll:
        bad = Cell("web1", "web1", "new", 40, 0, soft=soft, check_failures=checks)
        return Poll("lb1", at, 1.0, [Stratum("shop", [bad, Cell("web2", "web2", "old", 40, 0)])])

    soft = judge_polls([poll(at, soft=8, checks=0) for at in range(1, 40)])
    assert (soft.state, soft.cause) == ("hold", "retries")
    assert soft.reason.startswith(
        "1.5.0 needed 312 retries or redispatches for 1,560 requests, the others 0 for"
    )
    checks = judge_polls([poll(at, soft=0, checks=1) for at in range(1, 200)])
    assert (checks.state, checks.cause) == ("hold", "checks")


def test_slowness_and_load_balancers_of_which_nothing_is_known_hold() -> None:
    judge = Judge(CanarySettings(), LIFETIMES)
    for poll in make_seconds(60, (40, 0), (40, 0)):
        judge.add(poll)
    slow = Slowness("hold", "2.3× its peers", slower=2.3, response_ms=23.0, other_response_ms=10.0)
    judgement = judge.judge(60.0, slowness=slow, stale=["lb2"])
    assert (judgement.state, judgement.cause) == ("hold", "slow")
    assert judgement.reason == "2.3× its peers; nothing is known from lb2 now"
    assert (judgement.slower, judgement.response_ms, judgement.other_response_ms) == (2.3, 23.0, 10.0)
    bad = judge.judge(60.0, slowness=replace(slow, state="bad", node="web1"))
    assert (bad.state, bad.node) == ("bad", "web1")


def test_young_counters_hold_nothing_up() -> None:
    young = [Lifetime("lb1", "shop", f"web{number}", 4_000, 0, 100) for number in range(1, 4)]
    incident = judge_polls(make_seconds(20, (40, 8), (40, 8), (40, 8), (40, 8)), lifetimes=young)
    assert incident.state == "good"
    alone = judge_polls(make_seconds(20, (40, 8), (40, 8), new=2), lifetimes=young)
    assert alone.state == "blind"
