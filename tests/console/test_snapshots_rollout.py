"""Snapshots of rollouts: running, waiting for a decision, paused, failed and ended."""

from orchestrator.engine.control import ABORT, CONTINUE, RETRY, SKIP
from tests.console.conftest import SnapshotCheck, sees
from tests.console.dialog_values import ended, out_of_rotation
from tests.console.frozen_console import FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway


def draining() -> FrozenRollout:
    story = FrozenRollout(halfway("drain")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.waits("web3", "drain", "sessions: 4 on lb1, 3 on lb2", left=282.0, after=18.0)


def starting() -> FrozenRollout:
    story = FrozenRollout(halfway("maint")).upgraded("web1", "web2").batch("web3")
    for step in ("drain", "stop", "install", "start"):
        story.step("web3", step).done("web3", step)
    return story.step("web3", "verify")


def asking(confirm: str, text: str) -> FrozenConsole:
    story = FrozenRollout(halfway(), confirm).upgraded("web1", "web2").batch("web3")
    return story.asks("web3", text, CONTINUE, SKIP, ABORT).console()


def broken() -> FrozenConsole:
    story = starting().failed("web3", "verify", FAILURE)
    return story.asks("web3", f"verify failed: {FAILURE}", RETRY, SKIP, ABORT).console()


def test_a_drain_that_waits_for_sessions(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: draining().console(), sees("web3 drains: sessions", "timeout in 4:42"))


def test_asked_before_a_node(matches_snapshot: SnapshotCheck) -> None:
    text = "take it out of rotation? 1.4.2 → 1.5.0"
    assert matches_snapshot(lambda: asking("node", text), sees("take it out", "waiting for a decision"))


def test_asked_before_a_step(matches_snapshot: SnapshotCheck) -> None:
    def make() -> FrozenConsole:
        story = FrozenRollout(halfway("maint"), "step").upgraded("web1", "web2").batch("web3")
        story.step("web3", "drain").done("web3", "drain").step("web3", "stop").done("web3", "stop")
        return story.asks("web3", "install?", CONTINUE, SKIP, ABORT, step="install").console()

    assert matches_snapshot(make, sees("install?", "apt-get"))


def test_a_failure_waits_for_a_decision(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(broken, sees("verify failed", "try it again"))


def test_paused(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: draining().console(), sees("web3 drains"), "p", sees("paused by ann"))


def test_abort_asks(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(
        lambda: draining().console(), sees("web3 drains"), "a", sees("Abort the rollout?")
    )


def test_aborting(matches_snapshot: SnapshotCheck) -> None:
    acts = (sees("web3 drains"), "a", sees("Abort the rollout?"), "right", "enter", sees("aborting"))
    assert matches_snapshot(lambda: draining().console(), *acts)


def test_quitting_asks(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(
        lambda: draining().console(), sees("web3 drains"), "q", sees("quit?", "Keep going")
    )


def test_the_transcript(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: draining().console(), sees("web3 drains"), "t", sees("all nodes"))


def test_ended_healthy(matches_snapshot: SnapshotCheck) -> None:
    def make() -> FrozenConsole:
        story = FrozenRollout(halfway()).upgraded(*(f"web{number}" for number in range(1, 7)))
        names = list(story.session.state.nodes)
        return story.ends(ended(upgraded=names, pending=[], duration_s=511.2)).console()

    assert matches_snapshot(make, sees("healthy in 8:31"))


def test_ended_degraded(matches_snapshot: SnapshotCheck) -> None:
    def make() -> FrozenConsole:
        story = starting().failed("web3", "verify", FAILURE)
        left = [f"web{number}" for number in range(4, 7)]
        how = ended(out_of_rotation(), reason="web3 failed at verify", pending=left, duration_s=243.0)
        return story.ends(how).console()

    assert matches_snapshot(make, sees("degraded in 4:03"))
