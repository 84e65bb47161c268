"""The verdict on a new version, as a line for a terminal: the state is a word and a color."""

from collections.abc import Iterator

from console.terminal.output import clean, paint
from orchestrator.events.judgement import Verdict, VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.events.verdict_text import VERDICT_GLYPHS, describe_final_verdict, describe_verdict

VERDICT_KINDS: dict[Verdict, str] = {"good": "ok", "hold": "warn", "bad": "bad", "blind": "warn"}


def paint_verdict(text: str, verdict: VerdictChanged) -> str:
    """Return a text about a verdict, cleaned and in the color of its state."""
    return paint(clean(text), VERDICT_KINDS[verdict.state])


def verdict_text(verdict: VerdictChanged) -> str:
    """Return a verdict as one line that begins with a glyph."""
    return paint_verdict(f"{VERDICT_GLYPHS[verdict.state]} {describe_verdict(verdict)}", verdict)


def last_verdict_text(state: RolloutState) -> str:
    """Return the last verdict of a rollout, which may have ended; empty when there was none."""
    if state.verdict is None:
        return ""
    return (describe_verdict if state.ended is None else describe_final_verdict)(state.verdict)


def verdict_lines(verdict: VerdictChanged | None) -> Iterator[str]:
    """Yield the last verdict of a rollout that has ended, for its result."""
    if verdict is not None:
        yield f"  {'verdict':<12}{paint_verdict(describe_final_verdict(verdict), verdict)}"
