"""The panel for a decision: the question, the meaning of a yes, and the effect of each key."""

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.widgets import Static

from orchestrator.events.events import (
    AnyEvent,
    DecisionRequested,
    NodeFailed,
    NodeRolledBack,
    Paused,
    Record,
    RolloutStarted,
    ServiceLog,
    StepStarted,
)
from orchestrator.events.state import RolloutState
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.plan import capacity_text
from tests.support.console_values import HOSTILE, harmless
from widgets.decision_panel import MAX_LINES, DecisionPanel, build_decision_lines, shorten_commands

KEYS = {"continue": "space", "retry": "r", "back-to-version": "b", "skip": "s", "abort": "a", "pause": "p"}
STARTED = RolloutStarted(
    application="shop", version="1.5.0", nodes=["web1", "web2"], batches=[["web1"], ["web2"]], operator="ann"
)


def state(*events: AnyEvent) -> RolloutState:
    return RolloutState.of(Record(number, 1.0, event) for number, event in enumerate((STARTED, *events), 1))


def asked(text: str, *choices: str, subject: str = "web1", number: int = 1) -> DecisionRequested:
    return DecisionRequested(question=f"q{number}", subject=subject, text=text, choices=list(choices))


def words(of: RolloutState, *impact: str) -> list[str]:
    return ["".join(text for text, _ in line) for line in build_decision_lines(of, impact, KEYS)]


def test_nothing_while_nothing_waits() -> None:
    assert words(state()) == []


def test_a_node_to_be_confirmed() -> None:
    of = state(asked("take it out of rotation? 1.4 → 1.5", "continue", "skip", "abort"))
    assert words(of, "in rotation 4 → 3") == [
        "? web1: take it out of rotation? 1.4 → 1.5",
        "in rotation 4 → 3",
        "space continue  s leave it as it is, next node  a end the rollout  p pause",
    ]


def test_a_failed_node_may_go_back_to_its_last_healthy_version() -> None:
    question = DecisionRequested(
        question="q1",
        subject="web1",
        text="verify failed: sick",
        choices=["retry", "back", "skip", "abort"],
        version="1.4.2",
    )
    seen = ["DOWN 0/3 L7STS on lb1"]
    failed = NodeFailed(node="web1", step="verify", error="sick", servers=seen)
    of = state(StepStarted(node="web1", step="verify"), failed, question)
    assert words(of, "now: maint on lb1") == [
        "✗ web1: verify failed: sick",
        "HAProxy then: DOWN 0/3 L7STS on lb1",
        "now: maint on lb1",
        "r try it again  b back to 1.4.2, this node only  ",
        "s leave it out, next node  a end the rollout  p pause",
    ]
    back = NodeRolledBack(node="web1", duration_s=1.0, version="1.4.2")
    of = state(StepStarted(node="web1", step="verify"), failed, back, asked("what now", "retry", "skip"))
    assert words(of)[-1] == "r try it again  s leave it as it is, next node    p pause"


def test_a_failed_node_says_what_each_choice_does() -> None:
    of = state(
        StepStarted(node="web1", step="verify"),
        NodeFailed(node="web1", step="verify", error="sick"),
        asked("verify failed: sick", "retry", "skip", "abort"),
        asked("stop?", "continue", "skip", "abort", subject="web2", number=2),
    )
    lines = words(of, "now: maint on lb1")
    assert lines[0] == "✗ web1: verify failed: sick  (1 more to answer)"
    assert lines[2] == "r try it again  s leave it out, next node  a end the rollout  p pause"
    assert build_decision_lines(of, [], KEYS)[0][0] == ("✗ ", "bad")


def test_what_the_service_of_a_failed_node_wrote_last_stands_above_the_keys() -> None:
    of = state(
        StepStarted(node="web1", step="start"),
        NodeFailed(node="web1", step="start", error="the port is closed"),
        ServiceLog(node="web1", step="start", lines=["one", "two", "three", "bind: address in use"]),
        asked("start failed: the port is closed", "retry", "skip", "abort"),
    )
    lines = words(of, "now: maint on lb1")
    assert lines[1:5] == ["now: maint on lb1", "| two", "| three", "| bind: address in use"]
    assert lines[5].startswith("r try it again")


def test_a_pause_says_how_to_go_on() -> None:
    lines = words(state(Paused(who="ann", why="lunch")))
    assert lines[0] == "‖ paused by ann: lunch"
    assert lines[-1] == "p resume  a end the rollout"


def test_other_keys_are_called_by_their_names() -> None:
    of = state(asked("stop?", "continue", "abort"))
    last = build_decision_lines(of, [], {**KEYS, "continue": "f5"})[-1]
    assert last[0] == ("f5", "head")


def test_load_balancers_with_the_same_numbers_share_a_place() -> None:
    found = [
        Capacity("lb1", "shop", 4, 3, 2),
        Capacity("lb2", "shop", 4, 3, 2),
        Capacity("lb3", "shop", 3, 2, 2),
    ]
    assert capacity_text(found, ["lb4"]) == (
        "shop: in rotation 4 → 3, floor 2 on lb1, lb2 · shop: in rotation 3 → 2, floor 2 on lb3"
        " · lb4: unknown"
    )


def test_who_takes_over_and_who_goes_along_is_beside_the_numbers() -> None:
    over = Capacity("lb1", "shop", 1, 1, 1, takes_over=("web5",))
    along = Capacity("lb1", "pair", 2, 0, 1, carried=(("pair/r2", "pair/r1"),))
    assert capacity_text([over, along], []) == (
        "shop: in rotation 1 → 1, floor 1 on lb1; web5 (backup) takes over"
        " · pair: in rotation 2 → 0, floor 1 on lb1; pair/r2 follows pair/r1"
    )


def test_what_is_left_out_of_the_commands_is_counted() -> None:
    commands = [("web1", f"command {number}") for number in range(5)]
    assert shorten_commands(commands, 3, 80) == ["web1: command 0", "web1: command 1", "... and 3 more"]
    assert shorten_commands(commands[:3], 3, 80)[-1] == "web1: command 2"
    assert all(cell_len(line) <= 10 for line in shorten_commands([("web1", "long " * 99)], 3, 10))


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("above")
        yield DecisionPanel()


async def test_it_takes_no_room_until_something_waits_and_gives_it_back() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        panel = app.query_one(DecisionPanel)
        assert not panel.display
        panel.show([[("one", "head")], [("two", "plain")]])
        await pilot.pause()
        assert panel.display
        assert panel.size.height == 2
        assert app.query_one(Static).size.width == 80  # a margin would narrow everything beside it
        assert "one" in panel.render_line(0).text
        panel.show([[("bad", "bad")]] * 20)
        await pilot.pause()
        assert panel.size.height == MAX_LINES
        assert panel.has_class("-bad")
        panel.show([])
        await pilot.pause()
        assert not panel.display


async def test_an_error_is_not_cut_where_it_is_decided_on() -> None:
    app = Shell()
    error = "verify failed: not healthy within 300 s: HTTP 503, expected 200 (http://10.0.0.13:8080/health)"
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        panel = app.query_one(DecisionPanel)
        panel.show(build_decision_lines(state(asked(error, "retry", "abort")), ["now: maint on lb1"], KEYS))
        await pilot.pause()
        rows = [panel.render_line(y).text for y in range(panel.size.height)]
        assert " ".join(" ".join(rows[:2]).split()) == f"? web1: {error}"
        assert rows[1].startswith("   ")
        assert len(rows) == 4
        panel.show(build_decision_lines(state(asked("long " * 200, "retry", "abort")), ["now"] * 5, KEYS))
        await pilot.pause()
        assert panel.size.height == MAX_LINES
        assert panel.render_line(1).text.rstrip().endswith("…")
        assert "r try it again" in panel.render_line(MAX_LINES - 1).text
        failed = NodeFailed(node="web1", step="verify", error=error, servers=["MAINT on lb1"])
        log = ServiceLog(node="web1", step="verify", lines=["one", "two", "three"])
        question = asked(error, "retry", "back", "skip", "abort")
        of = state(StepStarted(node="web1", step="verify"), failed, log, question)
        panel.show(build_decision_lines(of, ["now: maint on lb1"], KEYS))
        await pilot.pause()
        rows = [panel.render_line(y).text.strip() for y in range(panel.size.height)]
        assert " ".join(rows[:2]) == f"✗ web1: {error}"  # older lines of the log make room for it
        assert rows[2:6] == ["HAProxy then: MAINT on lb1", "now: maint on lb1", "| two", "| three"]
        assert rows[-1].startswith("s leave it out")
        panel.show(build_decision_lines(of, ["now: maint"] * 9, KEYS))
        await pilot.pause()
        assert panel.render_line(MAX_LINES - 1).text.strip().startswith("s leave it out")


@pytest.mark.parametrize("text", HOSTILE)
async def test_nothing_from_outside_is_obeyed(text: str) -> None:
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        panel = app.query_one(DecisionPanel)
        of = state(asked(text, "continue", "skip", "abort"))
        panel.show(build_decision_lines(of, [text], KEYS))
        await pilot.pause()
        for y in range(panel.size.height):
            line = panel.render_line(y).text
            assert harmless(line)
            assert cell_len(line) <= 80
