"""A running rollout as text: one line for each node, and on a terminal a live line for what works now."""

import os
import sys
import time

from backends.text import counted, format_duration
from console.terminal.output import clean, on_terminal, paint, say, shorten, show_live
from orchestrator.events import events
from orchestrator.events.events import AnyEvent, Record
from orchestrator.events.spans import StepSpan
from orchestrator.events.state import DONE, NodeState, NodeStatus, RolloutState
from orchestrator.events.text import bake_text, describe, remaining_text

ERASE = "\r\x1b[2K"


class Progress:
    """A reader of the bus that writes to standard error."""

    def __init__(self, state: RolloutState) -> None:
        self._state = state
        self._live = on_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        self._shown = False

    def __call__(self, record: Record) -> None:
        """After `state` has taken the record."""
        if text := self._line(record):
            self._erase()
            say(text)
        if isinstance(record.event, events.DecisionRequested):
            self._erase()  # the question stands on a line of its own, and what is drawn would be typed over
        elif self._live:
            self._draw()

    def _line(self, record: Record) -> str:
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
                return _over(state.nodes[name])
            case events.ServiceLog(node=name, lines=lines):
                return "\n".join(f"{name:<10} | {clean(line)}" for line in lines)
            case events.NodeNote(node=name, text=text):
                return f"{paint('!', 'warn')} {f'{name}: ' if name else ''}{clean(text)}"
        return ""

    def _line_of_rollout(self, event: AnyEvent) -> str:
        state = self._state
        match event:
            case events.BatchStarted(number=number, nodes=nodes) if len(state.batches) > 1:
                left = state.eta()
                batch = f"batch {number}/{len(state.batches)}: {', '.join(nodes)}"
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
                words = clean(describe(event))
                return paint(words, "bad") if event.errors or event.unattributed else words
            case events.Paused() | events.Resumed() as event:
                return clean(describe(event))
            case events.AbortRequested():
                return paint(clean(state.phase_text), "warn")
        return ""

    def _draw(self) -> None:
        busy = [
            each
            for each in self._state.nodes.values()
            if each.step and each.state not in (NodeState.FAILED, NodeState.HELD)
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
                why += f" ({remaining_text(left, baking=node.state is NodeState.BAKING)})"
            parts.append(f"{node.name} {node.state} {why}".rstrip())
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:  # the terminal has gone; what is being done goes on
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


def _unproven(node: NodeStatus) -> str:
    if node.baked is None or node.baked.proven:
        return ""
    return f"\n{'':<10} {paint('!', 'warn')} {bake_text(node.baked)}"


def _over(node: NodeStatus) -> str:
    """A node whose turn is over, in one line that fits 80 columns when all is well."""
    glyphs: dict[str, tuple[str, str]] = {
        NodeState.UPGRADED: ("✓", "ok"),
        NodeState.ROLLED_BACK: ("✓", "ok"),
        NodeState.FAILED: ("✗", "bad"),
        NodeState.PUT_BACK: ("↶", "warn"),
        NodeState.HELD: ("!", "warn"),
    }
    glyph, kind = glyphs.get(node.state, ("·", "info"))
    words = f"{node.name:<10} {paint(glyph, kind)} {paint(node.state, kind)}"
    steps = "  ".join(
        f"{step} {f'{span.seconds:.1f}' if span.is_done else '-'}" for step, span in node.steps.items()
    )
    if node.state in DONE:
        return f"{words} in {format_duration(node.seconds)}: {steps}{_unproven(node)}"
    return (
        f"{words} {node.step or ''}: {clean(node.reason)}"
        if node.state in (NodeState.FAILED, NodeState.HELD)
        else f"{words} {clean(node.reason)}"
    )
