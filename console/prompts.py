"""Questions on a terminal, answered by a line on standard input without stopping the event loop."""

import asyncio
import sys

from console.output.text import clean, paint, say
from console.session import operator
from orchestrator import events
from orchestrator.control import RETRY, Control
from orchestrator.events import Record

MEANING = {
    "go": "go on",
    "retry": "try this node again",
    "skip": "leave it as it is and go on with the rest",
    "abort": "end the rollout",
}


class Prompts:
    """A reader of the bus: shows each question and hands the answer to the control."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._reading = False
        self._confirming: asyncio.Future[bool] | None = None

    def __call__(self, record: Record) -> None:
        match record.event:
            case events.Asked():
                self._show(record.event)
            case events.Answered() | events.AbortRequested():
                if self._control.questions:
                    self._show_next()

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

    def _show(self, asked: events.Asked) -> None:
        choices = ", ".join(f"{paint(each, 'warn')} ({MEANING.get(each, each)})" for each in asked.choices)
        # Why it failed stands in the line above already.
        text = "what now?" if RETRY in asked.choices else clean(asked.text)
        say(f"{paint('?', 'warn')} {asked.subject}: {text}")
        say(f"  {choices}")
        self._listen()

    def _show_next(self) -> None:
        first = self._control.questions[0]
        say(f"{paint('?', 'warn')} {first.subject}: {clean(first.text)}  {', '.join(first.choices)}")

    def _listen(self) -> None:
        if not self._reading:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)
            self._reading = True

    def _read(self) -> None:
        line = sys.stdin.readline()
        if not line:  # the terminal has gone: nobody is there to decide
            self.close()
            self._answer_all_with_abort()
            return
        word = line.strip().lower()
        if self._confirming is not None and not self._confirming.done():
            self._confirming.set_result(word in ("y", "yes"))
            return
        questions = self._control.questions
        if not questions or not word:
            return
        matches = [each for each in questions[0].choices if each.startswith(word)]
        if len(matches) == 1:
            self._control.answer(questions[0].id, matches[0], operator())
        else:
            say(f"  one of: {', '.join(questions[0].choices)}")

    def _answer_all_with_abort(self) -> None:
        if self._confirming is not None and not self._confirming.done():
            self._confirming.set_result(False)
        elif self._control.questions:
            self._control.abort(operator(), "the terminal has gone")
