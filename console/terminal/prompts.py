"""Questions on a terminal, answered by a line on standard input without stopping the event loop."""

import asyncio
import os
import sys

from console.operator_identity import current_operator
from console.terminal.output import clean, paint, say
from orchestrator.engine.control import RETRY, RolloutControl
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.text import choice_text


class Prompts:
    """A reader of the bus: shows each question and hands the answer to the control.

    Attributes:
        control: of the rollout that goes on; that of a rollback which follows it is another one.
    """

    def __init__(self, control: RolloutControl) -> None:
        self.control = control
        self._reading = False
        self._typed = b""  # the beginning of a line
        self._confirming: asyncio.Future[bool] | None = None

    def __call__(self, record: Record) -> None:
        match record.event:
            # One at a time: an answer goes to the oldest, so no other may be the last one shown.
            case events.DecisionRequested() if len(self.control.questions) == 1:
                self.show()
            case events.DecisionMade():
                self.show()

    async def confirm(self, text: str) -> bool:
        """A yes or no; everything but a clear yes is no."""
        say(f"{text} [y/N] ")
        self._confirming = asyncio.get_running_loop().create_future()
        self._listen()
        try:
            return await self._confirming
        finally:
            self._confirming = None

    def close(self) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._reading = False

    def show(self) -> None:
        """Ask the oldest open question, if there is one."""
        if not self.control.questions:
            return
        first = self.control.questions[0]
        choices = ", ".join(map(_explained, first.choices))
        # Why it failed stands in the line above already.
        text = "what now?" if RETRY in first.choices else clean(first.text)
        say(f"{paint('?', 'warn')} {clean(first.subject)}: {text}")
        say(f"  {choices}")
        self._listen()

    def _listen(self) -> None:
        if not self._reading:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)
            self._reading = True

    def _read(self) -> None:
        try:
            typed = os.read(sys.stdin.fileno(), 4096)
        except OSError:
            typed = b""
        if not typed:  # the terminal has gone: nobody is there to decide
            self.close()
            self._answer_all_with_abort()
            return
        *lines, self._typed = (self._typed + typed).split(b"\n")
        for line in lines:
            self._answer(line.decode(errors="replace").strip().lower())

    def _answer(self, word: str) -> None:
        if self._confirming is not None and not self._confirming.done():
            self._confirming.set_result(word in ("y", "yes"))
            return
        questions = self.control.questions
        if not questions or not word:
            return
        matches = [each for each in questions[0].choices if each.startswith(word)]
        if len(matches) == 1:
            self.control.answer(questions[0].id, matches[0], current_operator("terminal"))
        else:
            say(f"  one of: {', '.join(questions[0].choices)}")

    def _answer_all_with_abort(self) -> None:
        if self._confirming is not None and not self._confirming.done():
            self._confirming.set_result(False)
        elif self.control.questions:
            self.control.abort(current_operator("terminal"), "the terminal was closed")


def _explained(choice: str) -> str:
    meaning = choice_text(choice)
    return paint(choice, "warn") + (f" ({meaning})" if meaning != choice else "")
