"""What the console offers to cut short, and what stays in sight after "Not now"."""

from pathlib import Path

from console.tui.screens.rollout_actions import list_waits
from orchestrator.events.events import (
    AnyEvent,
    NodeFailed,
    NodeRolledBack,
    NodeStarted,
    RolloutStarted,
    ServiceLog,
    StepDone,
    StepStarted,
    Traffic,
    WaitCut,
    Waiting,
)
from orchestrator.events.state import RolloutState
from orchestrator.events.timeline import Timeline
from tests.console.dialog_values import ended
from tests.console.real_console import console_stack, drive
from tests.integration.test_drains import downloads
from tests.unit.journals import numbered
from widgets.decision_panel import build_unfinished_lines
from widgets.dialogs.result import ResultScreen, build_account_entries

STARTED = RolloutStarted(
    application="shop",
    version="1.5.0",
    nodes=["web1", "web2", "web3"],
    batches=[["web1", "web2", "web3"]],
    operator="ann",
    before={"web1": "1.4.2", "web2": "1.4.2", "web3": "1.4.2"},
)


def test_the_waits_of_drains_and_verifications_can_be_cut_short() -> None:
    events: list[AnyEvent] = [
        STARTED,
        StepStarted(node="web1", step="drain"),
        Waiting(node="web1", step="drain", reason="sessions: 3 on lb1", remaining_s=60),
        StepStarted(node="web2", step="verify"),
        StepStarted(node="web3", step="install"),
    ]
    state = RolloutState.of(numbered(*events))
    assert list_waits(state) == [
        ("web1", "enough", "sessions: 3 on lb1"),
        ("web2", "fail-now", "verify goes on"),
    ]


async def test_n_ends_the_wait_of_a_drain_and_fails_what_is_verified(tmp_path: Path) -> None:
    async with (
        console_stack(
            tmp_path,
            versions=("9.9.9",),
            drain_timeout=600,
            verify_timeout=600,
            maint_grace_period=0.1,
            min_available=0,
            on_remaining_sessions="shutdown",
        ) as here,
        downloads(here.stack, 4),
        drive(here) as at,
    ):

        def cuts() -> list[tuple[str, str, str, str]]:
            found = [record.event for record in here.records if isinstance(record.event, WaitCut)]
            return [(event.node, event.what, event.step, event.via) for event in found]

        await at.press("n")
        assert "Wait no longer?" not in at.text, "nothing waits"
        await at.start("9.9.9")
        await at.until(lambda: at.possible("cut_wait"))
        await at.sees("web1 drains: ")
        await at.press("n")
        await at.sees("Wait no longer?", "web1: on to maintenance")
        await at.press("enter")  # the safe answer has the focus
        await at.until(lambda: at.app.screen is at.main)
        assert cuts() == []
        await at.press("n")
        await at.sees("Wait no longer?", "web1: on to maintenance")
        await at.press("right", "enter")
        await at.until(lambda: cuts() == [("web1", "enough", "drain", "console")])
        await at.sees("web1 verifies: ")
        await at.press("n")
        await at.sees("Wait no longer?", "web1: fail now")
        await at.press("right", "enter")
        await at.asked("web1", "verify failed")
        await at.sees("cut short by")
        assert cuts()[1:] == [("web1", "fail-now", "verify", "console")]


def test_an_unfinished_rollout_stays_in_sight_with_its_keys() -> None:
    keys = {"resume": "^r", "roll-back": "R"}
    assert build_unfinished_lines((), keys) == []
    lines = build_unfinished_lines(("web2 was left by rollout 12", "web3 was left by rollout 12"), keys)
    assert ["".join(text for text, _ in line) for line in lines] == [
        "! not finished: web2 was left by rollout 12 (and 1 more)",
        "^r finish it  R roll back",
    ]


def test_a_result_says_why_what_and_where_to_read_more() -> None:
    timeline = Timeline.of(
        numbered(
            STARTED,
            NodeStarted(node="web2", version="1.5.0", originals=[]),
            StepStarted(node="web2", step="start"),
            StepDone(node="web2", step="start", changed=True, detail="", duration_s=2),
            StepStarted(node="web2", step="verify"),
            NodeFailed(node="web2", step="verify", error="503", servers=["DOWN 0/3 L7STS on lb1"]),
            ServiceLog(node="web2", step="verify", lines=["no database"]),
            StepStarted(node="web2", step="start"),  # of the way back
            StepDone(node="web2", step="start", changed=True, detail="", duration_s=1),
            NodeRolledBack(node="web2", duration_s=3, version="1.4.2"),
            Traffic(served=1204, errors_5xx=3, duration_s=60, errors=3),
        )
    )
    text = "\n".join((entry.head + entry.body).plain for entry in build_account_entries(timeline))
    for words in (
        "✗ web2 at verify: 503",
        "HAProxy then: DOWN 0/3 L7STS on lb1",
        "| no database",
        "1.4.2 → 1.5.0",
        "start ",
        "1,204 requests, 3 errors",
    ):
        assert words in text
    whole = ResultScreen(ended(), timeline=timeline, entry=12).entries()
    assert "rolldeck history show 12" in (whole[-1].head + whole[-1].body).plain
