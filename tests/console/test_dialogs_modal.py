"""Questions with a few answers, and quitting while a rollout runs."""

import pytest
from textual.css.query import NoMatches

from tests.console.dialog_values import HOSTILE, cut_off, open_dialog, shown
from widgets.dialogs.modal import ANSWERS, Confirm, QuitDialog

CHOICES = [("pause", "Pause", "default"), ("skip", "Skip", "warning"), ("continue", "Go on", "success")]


def question(safe: str | None = None) -> Confirm:
    return Confirm("web4: take it out of rotation?", ["in rotation 4 → 3, floor 2"], CHOICES, safe)


async def test_the_first_answer_is_the_safe_one() -> None:
    async with open_dialog(question()) as (app, pilot):
        assert app.focused_text() == "[▸Pause◂]"
        await pilot.press("enter")
    assert app.answers == ["pause"]


async def test_another_one_can_be_the_safe_one() -> None:
    async with open_dialog(question("skip")) as (app, _):
        assert app.focused_text() == "[▸Skip◂]"


async def test_escape_is_no_answer() -> None:
    async with open_dialog(question()) as (app, pilot):
        await pilot.press("escape")
    assert app.answers == [None]


async def test_arrows_and_space_choose() -> None:
    async with open_dialog(question()) as (app, pilot):
        await pilot.press("right", "right", "space")
    assert app.answers == ["continue"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_all_of_it_is_in_sight_in_one_box(size: tuple[int, int]) -> None:
    async with open_dialog(question(), size) as (app, _):
        text = "\n".join(shown(app))
        assert "╭─ web4: take it out of rotation? ─" in text
        assert "[▸Pause◂]  [ Skip ]  [ Go on ]" in text
        assert text.count("╭") == 1
        assert cut_off(app, size) == []


async def test_without_color_the_focus_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_dialog(question()) as (app, pilot):
        await pilot.press("right")
        assert "[ Pause ]  [▸Skip◂]  [ Go on ]" in "\n".join(shown(app))


async def test_hostile_text_is_text() -> None:
    asked = Confirm(
        HOSTILE, [HOSTILE, HOSTILE * 200], [("no", HOSTILE[:9], "[bold]"), ("yes", "[/b]", "error")]
    )
    async with open_dialog(asked) as (app, pilot):
        text = "\n".join(shown(app))
        assert "we[b1]\\x1b[31m[/b]" in text
        assert "\x1b" not in text
        assert cut_off(app) == []
        await pilot.press("pagedown", "right", "enter")
    assert app.answers == ["yes"]


async def test_quitting_stays_unless_told_otherwise() -> None:
    async with open_dialog(QuitDialog()) as (app, pilot):
        assert app.focused_text().startswith("[▸Stay")
        assert cut_off(app) == []
        await pilot.press("enter")
    assert app.answers == ["stay"]


async def test_escape_stays() -> None:
    async with open_dialog(QuitDialog([HOSTILE])) as (app, pilot):
        await pilot.press("down", "escape")
    assert app.answers == ["stay"]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
async def test_each_way_to_quit(number: int) -> None:
    async with open_dialog(QuitDialog()) as (app, pilot):
        await pilot.press(*["down"] * number, "enter")
    assert app.answers == [ANSWERS[number][0]]


async def test_a_question_that_was_closed_before_it_was_mounted_has_nothing_to_focus() -> None:
    """It must be the error that the console expects of closed screens."""
    with pytest.raises(NoMatches):
        question().initial_focus()
