"""A judge that continues what another one has written to the journal."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.canary.joint_judge import Background, JointJudge
from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Evidence
from tests.support.judge_polls import LIFETIMES, make_poll, make_seconds

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
        polls.append(make_poll(at, *found, new=1 if number >= first_new else 0, duration_s=duration_s))
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
    for poll in make_seconds(20, (40, 1), (40, 1), (40, 0), (40, 1), start=1000):
        judge.add(poll)
    evidence = judge.evidence
    assert Judge(CanarySettings(), LIFETIMES, evidence=evidence).evidence == evidence


def test_a_judge_that_found_it_bad_is_resumed_with_that() -> None:
    judge = Judge(CanarySettings(), LIFETIMES, version="1.5.0")
    for poll in make_seconds(10, (40, 8), (40, 0), (40, 0), (40, 0)):
        judge.add(poll)
    resumed = Judge(CanarySettings(), LIFETIMES, version="1.5.0", evidence=judge.evidence)
    judgement = resumed.judge(10.0)
    assert (judgement.state, judgement.node) == ("bad", "web1")
    assert judgement.reason == "1.5.0 fails 80 of 400 (20.0 %), the others 0 of 1,200 (0 %) at the same time"


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
