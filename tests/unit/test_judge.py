from orchestrator.canary.judge import Judge
from orchestrator.canary.poll import Cell, Poll, Stratum
from orchestrator.canary.settings import CanarySettings


def _poll(at: float, new: tuple[int, int], old: tuple[int, int]) -> Poll:
    cells = [Cell("web1", "web1", "new", *new), Cell("web2", "web2", "old", *old)]
    return Poll("lb1", at, 1.0, [Stratum("shop", cells)])


def test_a_new_version_that_got_few_requests_cannot_be_judged() -> None:
    judge = Judge(CanarySettings(), [])
    judge.add(_poll(1.0, (49, 0), (50, 0)))
    judgement = judge.judge(1.0)
    assert judgement.state == "blind"
    assert (judgement.requests, judgement.other_requests) == (49, 50)


def test_the_state_goes_on_in_another_judge() -> None:
    judge = Judge(CanarySettings(), [])
    judge.add(_poll(1.0, (40, 0), (40, 0)))
    other = Judge(CanarySettings(), [], evidence=judge.evidence)
    other.add(_poll(2.0, (40, 0), (40, 0)))
    assert other.judge(2.0).requests == 80
