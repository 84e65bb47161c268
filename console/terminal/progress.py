"""A running rollout on a terminal: its progress, and the questions that the operator answers."""

import asyncio
import os
import sys
import time

from backends.name_ranges import fold_names
from backends.text import counted, format_duration
from console.operator_identity import current_operator
from console.terminal.output import clean, on_terminal, paint, say, shorten, show_live
from console.terminal.verdict import verdict_text
from orchestrator.engine.control import RETRY, RolloutControl
from orchestrator.events import events
from orchestrator.events.events import AnyEvent, Record
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.spans import StepSpan
from orchestrator.events.state import DONE, NodeState, NodeStatus, RolloutState, is_watched
from orchestrator.events.text import (
    describe,
    describe_bake,
    describe_choice,
    describe_duration,
    describe_remaining_time,
)
from orchestrator.events.verdict_text import RepeatedVerdicts, verdict_sentences

ERASE = "\r\x1b[2K"


class Progress:
    """Subscriber to the bus that writes the progress of a rollout to standard error."""

    def __init__(self, state: RolloutState) -> None:
        self._state = state
        self._live = on_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        self._shown = False
        self._repeats = RepeatedVerdicts()

    def __call__(self, record: Record) -> None:
        """Show a record, after `state` has been updated by it."""
        if text := self._line(record):
            self._erase()
            say(text)
        if isinstance(record.event, events.DecisionRequested):
            self._erase()  # the answer is typed on a line of its own, which a live line would overwrite
        elif self._live:
            self._draw()

    def _line(self, record: Record) -> str:
        if isinstance(record.event, VerdictChanged):
            return "" if self._repeats.has(record.event) else verdict_text(record.event)
        return self._line_of_node(record.event) or self._line_of_rollout(record.event)

    def _line_of_node(self, event: AnyEvent) -> str:
        state = self._state
        match event:
            case events.StepDone(node=name, step=step, detail=detail) if not self._live:
                span = state.nodes[name].steps[step]
                return f"{name:<10} {_glyph(span)} {step} {format_duration(span.seconds)} · {clean(detail)}"
            case (
                events.NodeDone(node=name)
                | events.NodeFailed(node=name)
                | events.NodePutBack(node=name)
                | events.NodeSkipped(node=name)
            ):
                return _finished_line(state.nodes[name])
            case events.ServiceLog(node=name, lines=lines):
                return "\n".join(f"{name:<10} | {clean(line)}" for line in lines)
            case events.WaitCut(node=name) as event:
                return f"{name:<10} {paint('!', 'warn')} {clean(describe(event))}"
            case events.NodeNote(node=name, text=text):
                return f"{paint('!', 'warn')} {f'{name}: ' if name else ''}{clean(text)}"
        return ""

    def _line_of_rollout(self, event: AnyEvent) -> str:
        state = self._state
        match event:
            case events.BatchStarted(number=number, nodes=nodes) if len(state.batches) > 1:
                left = state.eta()
                batch = f"batch {number}/{len(state.batches)}: {fold_names(nodes)}"
                if left is None:
                    return batch
                done = f"{state.done}/{counted(state.total, 'node')}"
                return f"{batch} · {done}, about {format_duration(left.seconds)} left"
            case events.RollbackStarted() as event:
                return paint(clean(describe(event)), "warn")
            case events.RollbackRefused() as event:
                return paint(clean(describe(event)), "bad")
            case events.Prefetched() as event:
                return f"{paint('✓', 'ok')} {describe(event)}"
            case events.HookFired(ok=False) as event:
                return f"{paint('!', 'warn')} {clean(describe(event))}"
            case events.Traffic() as event:
                text = clean(describe(event))
                return paint(text, "bad") if event.errors or event.unattributed else text
            case events.Paused() | events.Resumed() as event:
                return clean(describe(event))
            case events.AbortRequested():
                return paint(clean(state.phase_text), "warn")
        return ""

    def _draw(self) -> None:
        busy = [
            node
            for node in self._state.nodes.values()
            if node.step and node.state not in (NodeState.FAILED, NodeState.HELD)
        ]
        if not busy or self._state.ended:
            self._erase()
            return
        now = time.time()
        parts = []
        for node in busy:
            why = clean(node.reason) if node.reason else ""
            if node.deadline is not None:
                left = format_duration(node.deadline - now)
                why += f" ({describe_remaining_time(left, baking=is_watched(node.state))})"
            parts.append(f"{node.name} {node.state} {why}".rstrip())
        if self._state.verdict is not None:
            parts.append(clean(verdict_sentences(self._state.verdict)[-1]))
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:  # the terminal is gone; the rollout goes on
            self._live = False
            return
        line = shorten(f"◐ {' | '.join(parts)}", columns - 1)
        show_live(f"{ERASE}{line}")
        self._shown = True

    def _erase(self) -> None:
        if self._shown:
            show_live(ERASE)
            self._shown = False


def _glyph(span: StepSpan) -> str:
    return paint("✓", "ok") if span.result == "done" else "·"


def _unproven_text(node: NodeStatus) -> str:
    if node.baked is None or node.baked.proven:
        return ""
    return f"\n{'':<10} {paint('!', 'warn')} {describe_bake(node.baked)}"


def _finished_line(node: NodeStatus) -> str:
    """Return a finished node as one line, which fits into 80 columns unless something went wrong."""
    glyphs: dict[str, tuple[str, str]] = {
        NodeState.UPGRADED: ("✓", "ok"),
        NodeState.ROLLED_BACK: ("✓", "ok"),
        NodeState.FAILED: ("✗", "bad"),
        NodeState.PUT_BACK: ("↶", "warn"),
        NodeState.HELD: ("!", "warn"),
    }
    glyph, kind = glyphs.get(node.state, ("·", "info"))
    text = f"{node.name:<10} {paint(glyph, kind)} {paint(node.state, kind)}"
    steps = "  ".join(
        f"{step} {f'{span.seconds:.1f}' if span.is_done else '-'}" for step, span in node.steps.items()
    )
    if node.state in DONE and node.done is not None:
        return f"{text} in {describe_duration(node.done)}: {steps}{_unproven_text(node)}"
    return (
        f"{text} {node.step or ''}: {clean(node.reason)}"
        if node.state in (NodeState.FAILED, NodeState.HELD)
        else f"{text} {clean(node.reason)}"
    )


class Prompts:
    """Subscriber to the bus that shows each question and passes the answer to the control.

    Attributes:
        control: of the rollout that runs; a rollback that follows it has a control of its own.
    """

    def __init__(self, control: RolloutControl) -> None:
        self.control = control
        self._reading = False
        self._typed = b""  # the beginning of a line
        self._returned: set[str] = set()  # nodes that were brought back to an earlier version
        self._confirming: asyncio.Future[bool] | None = None

    def __call__(self, record: Record) -> None:
        match record.event:
            # One at a time: an answer goes to the oldest question, so it must be the last one shown.
            case events.DecisionRequested() if len(self.control.questions) == 1:
                self.show()
            case events.DecisionMade():
                self.show()
            case events.NodeRolledBack(node=node):
                self._returned.add(node)
            case events.NodeFailed(node=node):
                self._returned.discard(node)

    async def confirm(self, text: str) -> bool:
        """Ask a yes-or-no question; everything but a clear yes means no."""
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
        """Show the oldest open question, if there is one."""
        if not self.control.questions:
            return
        first = self.control.questions[0]
        choices = ", ".join(_format_choice(choice, first.version) for choice in first.choices)
        # The line above already says why it failed.
        is_said = RETRY in first.choices and first.subject not in self._returned
        text = "what now?" if is_said else clean(first.text)
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
        if not typed:  # the terminal is gone: there is nobody to decide
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
        matches = [choice for choice in questions[0].choices if choice.startswith(word)]
        if len(matches) == 1:
            self.control.answer(questions[0].id, matches[0], current_operator("terminal"))
        else:
            say(f"  one of: {', '.join(questions[0].choices)}")

    def _answer_all_with_abort(self) -> None:
        if self._confirming is not None and not self._confirming.done():
            self._confirming.set_result(False)
        elif self.control.questions:
            self.control.abort(current_operator("terminal"), "the terminal was closed")


def _format_choice(choice: str, version: str) -> str:
    meaning = clean(describe_choice(choice, version=version))
    return paint(choice, "warn") + (f" ({meaning})" if meaning != choice else "")
