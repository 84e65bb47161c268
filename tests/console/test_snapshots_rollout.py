"""How a rollout looks: at work, waiting for somebody, paused, broken, ended."""

from orchestrator.engine.control import ABORT, CONTINUE, RETRY, SKIP
from tests.console.conftest import Camera, sees, small
from tests.console.dialog_values import ended, out_of_rotation
from tests.console.still import Still
from tests.console.still_rollout import FAILURE, Story, halfway


def draining() -> Story:
    story = Story(halfway("drain")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.waits("web3", "drain", "sessions: 4 on lb1, 3 on lb2", left=282.0, after=18.0)


def starting() -> Story:
    story = Story(halfway("maint")).upgraded("web1", "web2").batch("web3")
    for step in ("drain", "stop", "install", "start"):
        story.step("web3", step).done("web3", step)
    return story.step("web3", "verify")


def asking(confirm: str, text: str) -> Still:
    story = Story(halfway(), confirm).upgraded("web1", "web2").batch("web3")
    return story.asks("web3", text, CONTINUE, SKIP, ABORT).console()


def broken() -> Still:
    story = starting().failed("web3", "verify", FAILURE)
    return story.asks("web3", f"verify failed: {FAILURE}", RETRY, SKIP, ABORT).console()


def test_a_drain_that_waits_for_sessions(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: draining().console(), sees("web3 drains: sessions", "timeout in 4:42"))


def test_asked_before_a_node(looks_as_before: Camera) -> None:
    text = "take it out of rotation? 1.4.2 → 1.5.0"
    assert looks_as_before(lambda: asking("node", text), sees("take it out", "waiting for a decision"))


def test_asked_before_a_step(looks_as_before: Camera) -> None:
    def make() -> Still:
        story = Story(halfway("maint"), "step").upgraded("web1", "web2").batch("web3")
        story.step("web3", "drain").done("web3", "drain").step("web3", "stop").done("web3", "stop")
        return story.asks("web3", "install?", CONTINUE, SKIP, ABORT, step="install").console()

    assert looks_as_before(make, sees("install?", "apt-get"))


def test_a_failure_waits_for_a_decision(looks_as_before: Camera) -> None:
    assert looks_as_before(broken, sees("verify failed", "try it again"))


def test_paused(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: draining().console(), sees("web3 drains"), "p", sees("paused by ann"))


@small
def test_abort_asks(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: draining().console(), sees("web3 drains"), "a", sees("Abort the rollout?"))


def test_aborting(looks_as_before: Camera) -> None:
    acts = (sees("web3 drains"), "a", sees("Abort the rollout?"), "right", "enter", sees("aborting"))
    assert looks_as_before(lambda: draining().console(), *acts)


@small
def test_quitting_asks(looks_as_before: Camera) -> None:
    assert looks_as_before(
        lambda: draining().console(), sees("web3 drains"), "q", sees("quit?", "Keep going")
    )


def test_the_transcript(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: draining().console(), sees("web3 drains"), "t", sees("all nodes"))


def test_ended_healthy(looks_as_before: Camera) -> None:
    def make() -> Still:
        story = Story(halfway()).upgraded(*(f"web{number}" for number in range(1, 7)))
        names = list(story.session.state.nodes)
        return story.ends(ended(upgraded=names, pending=[], duration_s=511.2)).console()

    assert looks_as_before(make, sees("healthy in 8:31"))


def test_ended_degraded(looks_as_before: Camera) -> None:
    def make() -> Still:
        story = starting().failed("web3", "verify", FAILURE)
        left = [f"web{number}" for number in range(4, 7)]
        how = ended(out_of_rotation(), reason="web3 failed at verify", pending=left, duration_s=243.0)
        return story.ends(how).console()

    assert looks_as_before(make, sees("degraded in 4:03"))
