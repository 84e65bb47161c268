"""The rollout board, from real and from hostile streams of events."""

import pytest
from msgspec import structs
from rich.cells import cell_len
from textual.app import App, ComposeResult

from orchestrator.events.base import Event
from orchestrator.events.events import (
    AbortRequested,
    BatchStarted,
    CommandFinished,
    DecisionRequested,
    NodeFailed,
    NodeUpgraded,
    Paused,
    Record,
    RolloutEnded,
    RolloutStarted,
    ServiceLog,
    StepDone,
    StepStarted,
    Waiting,
)
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.events.steps import STEPS
from orchestrator.events.verdict_text import VERDICT_GLYPHS
from tests.support.console_values import harmless
from tests.support.fake_fleet import World
from tests.support.verdicts import BAD, BLIND, GOOD, HOLD, verdicts
from tests.support.virtual_time import run
from widgets import rollout_board
from widgets.rollout_board import RolloutBoard, build_header, scroll_window
from widgets.rollout_chart import build_verdict
from widgets.rollout_sentence import build_sentence

START = 1000.0
HOSTILE = "[red]x[/] \x1b[31m\x07\u202e" + "日" * 5_000


class Shell(App[None]):
    CSS = "RolloutBoard { max-height: 10; }"

    def compose(self) -> ComposeResult:
        yield RolloutBoard()


def folded(*events: Event) -> RolloutState:
    return RolloutState.of(Record(number, START, event) for number, event in enumerate(events, 1))  # type: ignore[arg-type]


def started(nodes: int = 3) -> RolloutStarted:
    names = [f"web{n}" for n in range(1, nodes + 1)]
    batches = [[name] for name in names]
    return RolloutStarted(
        application="shop",
        version="1.5.0",
        nodes=names,
        batches=batches,
        operator="ann",
        before=dict.fromkeys(names, "1.4.2"),
    )


def upgraded(name: str, changed: bool = True) -> list[Event]:
    events: list[Event] = []
    for step in STEPS:
        events.append(StepStarted(node=name, step=step))
        events.append(StepDone(node=name, step=step, changed=changed, detail="", duration_s=1.1))
    return [*events, NodeUpgraded(node=name, duration_s=95)]


DRAINING = [
    started(),
    *upgraded("web1"),
    BatchStarted(number=2, nodes=["web2"]),
    StepStarted(node="web2", step="drain"),
    Waiting(node="web2", step="drain", reason="sessions: 7 on lb1", remaining_s=60),
]


def lines(board: RolloutBoard) -> list[str]:
    return [board.render_line(y).text for y in range(board.size.height)]


async def shown(state: RolloutState, width: int = 80, after: float = 18, capacities: str = "") -> list[str]:
    app = Shell()
    async with app.run_test(size=(width, 24), notifications=True) as pilot:
        board = app.query_one(RolloutBoard)
        board.show(state, START + after, capacities)
        await pilot.pause()
        return lines(board)


@pytest.mark.parametrize("width", [80, 120])
async def test_it_reads_without_color(width: int) -> None:
    head, why, names, *rows = await shown(folded(*DRAINING), width, capacities="4 in rotation, floor 2")
    assert head.startswith("shop 1.4.2 → 1.5.0 · 1/3 nodes · ██")
    left = "left  0:11 (wait 0:02)" if width == 80 else "left  0:11 (work 0:08, wait 0:02)"
    assert head.rstrip().endswith(f"░  33 % · {left}")
    assert why.strip() == "web2 drains: sessions: 7 on lb1 · timeout in 0:42 · 4 in rotation, floor 2"
    assert names.split() == ["NODE", *STEPS]
    assert rows[0].split() == ["web1", *["✓", "1.1", "s"] * 5, "✓", "upgraded"]
    assert rows[1].split()[:5] == ["web2", "◐", "0:18", "◐", "draining:"]
    assert rows[2].split() == ["web3", "pending"]


async def test_between_two_steps_nothing_goes_on() -> None:
    done = StepDone(node="web2", step="stop", changed=True, detail="", duration_s=2.3)
    asked = DecisionRequested(question="q1", subject="web2", text="install?", choices=["continue"])
    state = folded(started(), StepStarted(node="web2", step="stop"), done, asked)
    *_, row, _ = await shown(state)
    assert row.split() == ["web2", "✓", "2.3", "s", *"◐ stop done · waits for you".split()]


async def test_what_was_so_already_is_told_from_what_was_done() -> None:
    rows = await shown(folded(started(), *upgraded("web1", changed=False)))
    assert rows[3].split()[1::3][:5] == ["·"] * 5


async def test_a_failed_step_names_its_reason_and_asks() -> None:
    failed = NodeFailed(node="web2", step="drain", error="no answer")
    asked = DecisionRequested(
        question="q1", subject="web2", text="drain failed: no answer", choices=["retry", "skip"]
    )
    _, why, _, _, row, _ = await shown(folded(*DRAINING, failed, asked), 120)
    assert why.strip() == "? waiting for a decision: web2"
    assert row.split() == ["web2", "✗", "✗", *"failed: no answer · waits for you".split()]


async def test_paused_and_aborting_say_who_and_why() -> None:
    head, why, *_ = await shown(folded(*DRAINING, Paused(who="ann", why="lunch")), 120)
    assert "shop 1.4.2 → 1.5.0 · ‖ paused by ann: lunch · 1/3 nodes" in head
    assert "deadline stopped" in why
    assert "at most" not in why
    head, *_ = await shown(folded(*DRAINING, AbortRequested(who="bob", why="", immediate=False)))
    assert "! aborting, requested by bob" in head
    assert "left" not in head


async def _records(sick: set[str]) -> list[Record]:
    world = World(nodes=3, serial=2, min_healthy=0)
    for name in sick:
        world.nodes[name].sick = frozenset({"2.0"})
    await world.upgrade()
    return world.records


@pytest.fixture(scope="module")
def healthy() -> list[Record]:
    return run(_records(set()))


def test_the_result_is_the_last_word(healthy: list[Record]) -> None:
    state = RolloutState.of(healthy)
    assert build_header(state, START, 80)[-1] == (" · ✓ healthy in 0:18", "ok")
    assert state.ended is not None
    state.ended = structs.replace(state.ended, duration_s=633.9, answer_wait_s=201.0)
    assert build_header(state, START, 80)[-1] == (" · ✓ healthy in 7:12", "ok")
    text = " · ✓ healthy in 7:12 (plus 3:21 waiting for an answer)"
    assert build_header(state, START, 120)[-1] == (text, "ok")
    bad = RolloutState.of(run(_records({"web2"})))
    text, kind = build_header(bad, START, 80)[-1]
    assert (text[:13], kind) == (" · ✗ degraded", "bad")
    assert build_sentence(bad, START, "").lines(80)[0][0] == ("not in rotation: web2 · failed: web2", "bad")


async def test_any_prefix_of_a_real_stream_can_be_shown(healthy: list[Record]) -> None:
    records = [record for record in healthy if not isinstance(record.event, CommandFinished)]
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        board, state = app.query_one(RolloutBoard), RolloutState()
        for record in records:
            state.apply(record)
            board.show(state, record.at)
            await pilot.pause()
            assert all(len(line) <= 78 for line in lines(board))
    assert isinstance(records[-1].event, RolloutEnded)


@pytest.mark.parametrize("width", [80, 120])
async def test_nothing_from_outside_is_obeyed(width: int) -> None:
    names = [HOSTILE, "b"]
    begun = RolloutStarted(
        application=HOSTILE, version=HOSTILE, nodes=names, batches=[names], operator=HOSTILE
    )
    state = folded(
        begun,
        StepStarted(node=HOSTILE, step="drain"),
        Waiting(node=HOSTILE, step="drain", reason=HOSTILE, remaining_s=9),
        NodeFailed(node="b", step="stop", error=HOSTILE),
        ServiceLog(node="b", step="stop", lines=[HOSTILE]),
        Paused(who=HOSTILE, why=HOSTILE),
    )
    for line in await shown(state, width, capacities=HOSTILE):
        assert harmless(line)
        assert "\x1b" not in line
        assert cell_len(line) <= width - 2  # of padding
    rows = await shown(state, width)
    assert rows[5].split()[:2] == ["b", "✗"]
    assert len(rows) == 6


async def test_the_nodes_at_work_stay_in_sight_until_somebody_scrolls() -> None:
    state = folded(started(20), StepStarted(node="web15", step="drain"))
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        board = app.query_one(RolloutBoard)
        board.show(state, START)
        await pilot.pause()
        assert "web15" in lines(board)[-1]
        assert lines(board)[2].rstrip().endswith("9-15 of 20")
        board.focus()
        await pilot.press("up", "up")
        assert "web13" in lines(board)[-1]
        board.show(state, START + 1)
        assert "web13" in lines(board)[-1]
        assert "7-13 of 20 · end: follow" in lines(board)[2]
        await pilot.press("end")
        assert "web15" in lines(board)[-1]


async def test_running_times_go_on_by_themselves_and_stop_with_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, times = Shell(), [50.0]
    monkeypatch.setattr(rollout_board, "monotonic", lambda: times[0])
    async with app.run_test(size=(80, 24)) as pilot:
        board = app.query_one(RolloutBoard)
        board.show(folded(*DRAINING), START + 18)
        await pilot.pause()
        times[0] += 5
        board._tick()
        await pilot.pause()
        assert "0:23" in lines(board)[4]
        board.show(folded(*DRAINING), START + 18, interruption="its process 7 is gone")
        times[0] += 5
        board._tick()
        await pilot.pause()
        assert lines(board)[1].strip() == "its process 7 is gone"
        assert "0:18" in lines(board)[4]
        board.show(folded(started(), *upgraded("web1")), START + 18)
        await pilot.pause()
        before = lines(board)
        times[0] += 5
        board._tick()
        assert lines(board) == before


@pytest.mark.parametrize(
    ("top", "wanted", "expected"),
    [(0, [0], 0), (0, [9], 5), (5, [7], 5), (5, [2, 3], 2), (0, [2, 12], 2), (15, [], 10)],
)
def test_the_rows_move_as_little_as_possible(top: int, wanted: list[int], expected: int) -> None:
    assert scroll_window(top, 5, 15, wanted) == expected


async def test_what_is_broken_is_not_the_darkest_without_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red on black turned to gray is hardly seen."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = Shell()
    async with app.run_test(size=(80, 24)):
        board = app.query_one(RolloutBoard)
        styles = {board.get_component_rich_style(f"board--{kind}").color for kind in ("plain", "bad", "ok")}
        assert len(styles) == 1


def judged(*found: VerdictChanged, nodes: int = 3) -> RolloutState:
    state = folded(started(nodes))
    for number, verdict in enumerate(found, 10):
        state.apply(Record(number, START + 10 * number, verdict))
    return state


@pytest.mark.parametrize("verdict", [GOOD, HOLD, BAD, BLIND])
@pytest.mark.parametrize("width", [40, 80, 160])
async def test_the_verdict_has_a_line_with_its_state_in_a_word(verdict: VerdictChanged, width: int) -> None:
    _, _, line, headings, *_ = await shown(judged(verdict), width)
    assert verdict.state in line
    assert line.startswith(VERDICT_GLYPHS[verdict.state])
    assert headings.startswith("NODE")
    assert ("good" in line) == (verdict.state == "good")


def test_the_line_is_cut_at_words_while_a_shorter_one_fits() -> None:
    [(text, kind)] = build_verdict(GOOD, 78)
    assert (text, kind) == ("✓ 1.5.0: 0 of 3,120 failed · others 2 of 9,480 · good so far", "ok")
    [(text, kind)] = build_verdict(BLIND, 200, has_ended=True)
    assert (text[:33], kind) == ("? blind, it could not be judged: ", "moving")


async def test_on_a_low_board_a_node_is_more_important_than_the_verdict() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        board = app.query_one(RolloutBoard)
        board.styles.max_height = 4
        board.show(judged(GOOD), START)
        await pilot.pause()
        assert [line.split()[0] for line in lines(board)[2:]] == ["NODE", "web1"]


@pytest.mark.parametrize(("size", "rows"), [((80, 29), 0), ((80, 30), 4), ((120, 40), 2)])
async def test_a_tall_screen_has_the_chart_below_the_nodes(size: tuple[int, int], rows: int) -> None:
    app = Shell()
    async with app.run_test(size=size) as pilot:
        board = app.query_one(RolloutBoard)
        board.styles.max_height = 20
        board.show(judged(), START)
        board.show(judged(*(verdict for _, verdict in verdicts(9))), START)
        await pilot.pause()
        assert len(lines(board)) == 4 + 3 + rows
        chart = lines(board)[7:]
        assert [words for line in chart for words in line.split() if words in ("errors", "response")] == (
            ["errors", "response"] if rows else []
        )


async def test_the_board_grows_with_the_state_that_it_shows() -> None:
    app = Shell()
    async with app.run_test(size=(80, 40)) as pilot:
        board = app.query_one(RolloutBoard)
        board.styles.max_height = 20
        state = folded(started())
        board.show(state, START)
        await pilot.pause()
        heights = [board.size.height]
        for number, (_, verdict) in enumerate(verdicts(3), 10):
            state.apply(Record(number, START + 10 * number, verdict))
            board.show(state, START)
            await pilot.pause()
            heights.append(board.size.height)
        assert heights == [6, 7, 11, 11]


async def test_nodes_go_before_the_chart() -> None:
    app = Shell()
    async with app.run_test(size=(120, 40)) as pilot:
        board = app.query_one(RolloutBoard)
        board.styles.max_height = 11
        board.show(judged(*(verdict for _, verdict in verdicts(9)), nodes=20), START)
        await pilot.pause()
        assert [line.split()[0] for line in lines(board)[3:]] == ["NODE", *(f"web{n}" for n in range(1, 8))]
