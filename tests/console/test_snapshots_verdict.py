"""Snapshots of the verdict in each of its states, and of the charts of both versions."""

from msgspec import structs

from orchestrator.engine.control import ABORT, CONTINUE
from orchestrator.events.judgement import VerdictChanged
from tests.console.conftest import SnapshotCheck, sees, small
from tests.console.dialog_values import ended
from tests.console.frozen_console import FrozenConsole
from tests.console.frozen_rollout import FrozenRollout, halfway
from tests.support.verdicts import BLIND, GOOD, verdicts


def waves(bad_from: int = 0) -> list[VerdictChanged]:
    """As from real traffic: no two spans are the same."""
    return [
        structs.replace(
            verdict,
            errors=verdict.errors + 3 * (number * 7 % 4),
            other_errors=verdict.other_errors + 4 * (number * 5 % 3),
            response_ms=6.0 + number * 7 % 5,
            other_response_ms=7.0 + number * 3 % 4,
        )
        for number, (_, verdict) in enumerate(verdicts(25, bad_from=bad_from))
    ]


WATCHED = waves()
FAILING = waves(bad_from=22)
LAST = FAILING[-1]
HELD = structs.replace(
    WATCHED[-1],
    state="hold",
    reason="web1 is slower: 2.3× its peers (21 ms where 9 ms were expected)",
    response_ms=20.7,
    detectable=[],
)
BAD = structs.replace(
    LAST,
    state="bad",
    node="web2",
    reason="1.5.0 fails 328 of 9,620 (3.4 %), the others 288 of 28,800 (1.0 %) at the same time",
    requests=LAST.requests + 20,
    errors=LAST.errors + 4,
    ratio=3.4,
    evidence=9_000.0,
    detectable=[],
)


def judged(*found: VerdictChanged) -> FrozenRollout:
    """Two nodes have the new version, which is judged while the third one is drained."""
    story = FrozenRollout(halfway("drain")).upgraded("web1", "web2").judged(*found)
    story.batch("web3").step("web3", "drain")
    return story.waits("web3", "drain", "sessions: 4 on lb1, 3 on lb2", left=282.0, after=18.0)


def held() -> FrozenConsole:
    story = FrozenRollout(halfway()).upgraded("web1", "web2").judged(*WATCHED, HELD).batch("web3")
    text = f"{HELD.reason}: drain the next node all the same?"
    return story.step("web3", "drain").asks("verdict", text, CONTINUE, ABORT, kind="verdict").console()


def test_good_so_far(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: judged(*WATCHED).console(), sees("9,600 failed", "good so far"))


def test_blind(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: judged(BLIND).console(), sees("blind: 1.5.0 got only 12 of the 50"))


def test_hold_asks(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(held, sees("hold: web1 is slower", "all the same?", "6 → 5"))


def test_bad(matches_snapshot: SnapshotCheck) -> None:
    def make() -> FrozenConsole:
        story = FrozenRollout(halfway("maint")).upgraded("web1").batch("web2").step("web2", "verify")
        story.judged(*FAILING, BAD)
        return story.failed("web2", "verify", BAD.reason).console()

    assert matches_snapshot(make, sees("bad (web2)"))


def test_the_charts(matches_snapshot: SnapshotCheck) -> None:
    acts = (sees("web3 drains"), "c", sees("response", "others", "4:10"))
    assert matches_snapshot(lambda: judged(*FAILING, BAD).console(), *acts)


@small
def test_the_end_names_the_verdict(matches_snapshot: SnapshotCheck) -> None:
    def make() -> FrozenConsole:
        names = [f"web{number}" for number in range(1, 7)]
        story = FrozenRollout(halfway()).upgraded(*names).judged(structs.replace(GOOD, compared_s=400.0))
        return story.ends(ended(upgraded=names, pending=[], duration_s=511.2)).console()

    assert matches_snapshot(make, sees("healthy in 8:31", "✓ good: 0 of"))
