"""The sentence on the rollout board: what a rollout waits for stays readable on narrow screens."""

from collections.abc import Sequence

import pytest
from rich.cells import cell_len

from orchestrator.events.events import DecisionRequested, Paused, Record, Waiting
from orchestrator.events.steps import STEPS
from tests.console.test_rollout_board import DRAINING, START, Shell, folded, lines
from widgets.rollout_board import RolloutBoard
from widgets.rollout_sentence import build_sentence
from widgets.segments import Segment


def test_the_countdown_is_never_cut_away() -> None:
    reason = "sessions: 4 on lb1, 3 on lb2"
    state = folded(*DRAINING, Waiting(node="web2", step="drain", reason=reason, remaining_s=60))
    capacities = "5 in rotation, floor 3, may lose 2"
    sentence = build_sentence(state, START + 18, capacities)
    assert written(sentence.lines(78)) == [f"web2 drains: sessions:… · timeout in 0:42 · {capacities}"]
    assert written(sentence.lines(78, 2)) == [f"web2 drains: {reason} · timeout in 0:42", f"  {capacities}"]
    assert sentence.fits(100)
    state.apply(Record(99, START, Paused(who="ann", why="")))
    sentence = build_sentence(state, START + 18, capacities)
    assert written(sentence.lines(78))[0].endswith(f" · deadline stopped · {capacities}")


@pytest.mark.parametrize(
    ("reason", "second"),
    [
        (
            "own health: HTTP 503 from http://10.0.0.12:8080/health (0/3) for 12 s",
            "  12 s · timeout in 0:42 · 4 in rotation",
        ),
        (f"own health: {'HTTP 503 ' * 30}", "…"),
        ("own health: 503 of http://10.0.0.12:8080/health/ready", "  timeout in 0:42 · 4 in rotation"),
    ],
)
def test_a_long_reason_goes_on_in_a_second_line(reason: str, second: str) -> None:
    state = folded(*DRAINING, Waiting(node="web2", step="drain", reason=reason, remaining_s=60))
    first, last = written(build_sentence(state, START + 18, "4 in rotation").lines(78, 2))
    assert first.startswith("web2 drains: own health: ")
    assert second in last
    assert last.endswith(" · 4 in rotation")
    assert max(cell_len(first), cell_len(last)) <= 78


def written(lines: Sequence[Sequence[Segment]]) -> list[str]:
    """The text of lines."""
    return ["".join(text for text, _ in line) for line in lines]


async def test_a_second_line_stays_while_the_rollout_works_and_leaves_rows_their_room() -> None:
    wait = Waiting(node="web2", step="drain", reason="sessions: 4 on lb1, 3 on lb2", remaining_s=60)
    state, app = folded(*DRAINING, wait), Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        board = app.query_one(RolloutBoard)
        for event in (None, Waiting(node="web2", step="drain", reason="short", remaining_s=60)):
            if event is not None:
                state.apply(Record(90, START, event))
            board.show(state, START, "5 in rotation, floor 3, may lose 2")
            await pilot.pause()
            assert lines(board)[2].strip() == "5 in rotation, floor 3, may lose 2"
            assert "web3" in lines(board)[-1]
        asked = DecisionRequested(question="q1", subject="web2", text="go on?", choices=["continue"])
        state.apply(Record(91, START, asked))
        board.show(state, START, "5 in rotation, floor 3, may lose 2")
        await pilot.pause()
        assert lines(board)[2].split() == ["NODE", *STEPS]
        assert "web3" in lines(board)[-1]
        state.questions.clear()
        state.apply(Record(92, START, wait))
        board.styles.height = 6  # three lines are for the nodes then, and none for more of the sentence
        board.show(state, START, "5 in rotation, floor 3, may lose 2")
        await pilot.pause()
        assert lines(board)[2].split() == ["NODE", *STEPS]
