"""A judge that says what a test wants, whatever the polls are."""

from collections.abc import Sequence

import pytest

from orchestrator.canary.joint_judge import Background
from orchestrator.canary.judgement import HoldCause, Judgement
from orchestrator.canary.poll import Poll
from orchestrator.engine import version_judgement
from orchestrator.events.judgement import Evidence, Verdict

REASON = "2.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %)"


class ScriptedJudge:
    """Says what `verdict` is, until somebody makes another one."""

    verdict = Judgement(state="good")
    suspected = ""
    made: Sequence["ScriptedJudge"] = ()

    def __init__(self, settings: object, background: Background, evidence: Evidence | None = None) -> None:
        self.background, self.evidence_before, self.polls = background, evidence, list[Poll]()
        ScriptedJudge.made = [*ScriptedJudge.made, self]

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the judge of rollouts, for the length of a test."""
        monkeypatch.setattr(version_judgement, "JointJudge", cls)
        cls.verdict, cls.made, cls.suspected = Judgement(state="good"), (), ""

    def add(self, poll: Poll) -> None:
        self.polls.append(poll)

    def leave(self, node: str) -> None: ...

    def suspicion(self, at: float) -> str:
        return ScriptedJudge.suspected

    def judge(self, at: float, *, stale: Sequence[str] = ()) -> Judgement:
        if stale:
            return Judgement(state="hold", reason=f"nothing is known of {', '.join(stale)}", cause="stale")
        return ScriptedJudge.verdict

    @property
    def evidence(self) -> Evidence:
        return Evidence(sums={"polls": len(self.polls)})


def say(state: Verdict, node: str = "", cause: HoldCause = "") -> None:
    ScriptedJudge.verdict = Judgement(state=state, reason=REASON, node=node, cause=cause)
