"""Questions on a terminal: answers by the line, a word or its beginning, and nobody there means no."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from backends.local_machine import SystemClock
from console.terminal.progress import Prompts
from orchestrator.engine.control import ABORT, CONTINUE, RETRY, SKIP, RolloutControl
from orchestrator.errors import Aborted
from orchestrator.events.event_bus import EventBus

CHOICES = (CONTINUE, SKIP, ABORT)


class Keyboard:
    """Types into standard input through a pipe."""

    def __init__(self) -> None:
        self.stdin, self._hand = os.pipe()

    def type(self, text: str | bytes) -> None:
        os.write(self._hand, text if isinstance(text, bytes) else text.encode())

    def hang_up(self) -> None:
        os.close(self._hand)
        self._hand = -1

    def close(self) -> None:
        if self._hand >= 0:
            os.close(self._hand)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    made = Keyboard()
    with os.fdopen(made.stdin) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield made
        made.close()


@asynccontextmanager
async def prompting() -> AsyncIterator[tuple[RolloutControl, Prompts]]:
    clock = SystemClock()
    bus = EventBus(clock)
    control = RolloutControl(clock, bus, interactive=True)
    prompts = Prompts(control)
    bus.subscribe(prompts)
    try:
        async with asyncio.timeout(20):
            yield control, prompts
    finally:
        prompts.close()


async def until_said(capsys: pytest.CaptureFixture[str], words: str) -> str:
    said = ""
    while words not in said:
        await asyncio.sleep(0.002)
        said += capsys.readouterr().err
    return said


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y\n", True),
        ("YES\n", True),
        ("  yes \r\n", True),
        ("n\n", False),
        ("\n", False),
        ("yeah\n", False),
        ("continue\n", False),
        (b"\xff\xfe\n", False),
    ],
)
async def test_only_a_clear_yes_is_one(
    typed: str | bytes, answer: bool, keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with prompting() as (_, prompts):
        keyboard.type(typed)
        assert await prompts.confirm("Go on?") is answer
    assert capsys.readouterr() == ("", "Go on? [y/N] \n")


async def test_nobody_there_is_a_no(keyboard: Keyboard) -> None:
    async with prompting() as (_, prompts):
        keyboard.hang_up()
        assert await prompts.confirm("Go on?") is False


@pytest.mark.parametrize(
    ("typed", "choice"),
    [("continue\n", CONTINUE), ("c\n", CONTINUE), ("C\n", CONTINUE), ("sk\n", SKIP), ("\n\ns\n", SKIP)],
)
async def test_an_answer_is_a_word_or_its_beginning(typed: str, choice: str, keyboard: Keyboard) -> None:
    async with prompting() as (control, _):
        keyboard.type(typed)
        answer, who = await control.request_decision("web1", "take it out?", CHOICES)
        assert answer == choice
        assert "@" in who.name
        assert who.via == "terminal"


@pytest.mark.parametrize("wrong", ["x\n", "continued\n", "retry\n", "continue skip\n", b"\xff\n", "\x1b[A\n"])
async def test_a_wrong_answer_is_asked_again(
    wrong: str | bytes, keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with prompting() as (control, _):
        asking = asyncio.create_task(control.request_decision("web1", "take it out?", CHOICES))
        keyboard.type(wrong)
        said = await until_said(capsys, "one of: continue, skip, abort")
        assert "? web1: take it out?\n  continue, skip (" in said
        assert not asking.done()
        keyboard.type("continue\n")
        assert (await asking)[0] == CONTINUE


async def test_the_beginning_of_two_words_is_neither(
    keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with prompting() as (control, _):
        asking = asyncio.create_task(control.request_decision("web1", "which?", ("start", "stop")))
        keyboard.type("st\n")
        await until_said(capsys, "one of: start, stop")
        keyboard.type("sto\n")
        assert (await asking)[0] == "stop"


async def test_abort_ends_the_rollout(keyboard: Keyboard) -> None:
    async with prompting() as (control, _):
        keyboard.type("a\n")
        with pytest.raises(Aborted):
            await control.request_decision("web1", "take it out?", CHOICES)
        assert control.aborting


async def test_a_terminal_that_goes_away_aborts(keyboard: Keyboard) -> None:
    async with prompting() as (control, _):
        keyboard.hang_up()
        with pytest.raises(Aborted, match="the terminal was closed"):
            await control.request_decision("web1", "take it out?", CHOICES)


async def test_a_line_may_come_in_pieces_and_several_at_once(keyboard: Keyboard) -> None:
    async with prompting() as (control, prompts):
        asking = asyncio.create_task(prompts.confirm("Go on?"))
        await asyncio.sleep(0)
        keyboard.type("y")
        await asyncio.sleep(0.01)
        assert not asking.done()
        keyboard.type("es\n")
        assert await asking is True
        both = asyncio.gather(
            control.request_decision("web1", "1", CHOICES), control.request_decision("web2", "2", CHOICES)
        )
        keyboard.type("continue\nskip\n")
        assert [choice for choice, _ in await both] == [CONTINUE, SKIP]


async def test_questions_are_shown_one_at_a_time_and_the_oldest_is_answered(
    keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with prompting() as (control, _):
        first = asyncio.create_task(control.request_decision("web1", "failed", (RETRY, SKIP, ABORT)))
        second = asyncio.create_task(control.request_decision("web2", "failed", (RETRY, SKIP, ABORT)))
        said = await until_said(capsys, "abort")
        assert "web1" in said
        assert "web2" not in said
        keyboard.type("skip\n")
        assert (await first)[0] == SKIP
        assert not second.done()
        assert "? web2: what now?" in await until_said(capsys, "abort")
        keyboard.type("retry\n")
        assert (await second)[0] == RETRY


async def test_what_is_asked_cannot_control_the_terminal(
    keyboard: Keyboard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with prompting() as (control, _):
        keyboard.type("continue\n")
        await control.request_decision("web\x1b[2J1", "really\x9b2J\n? web2: no\u202e", CHOICES)
    said = capsys.readouterr().err
    assert "? web\\x1b[2J1: really\\x9b2J ? web2: no\\u202e\n" in said
