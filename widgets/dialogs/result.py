"""How a rollout ended: what is out of rotation comes first, with the commands that put it back."""

from collections.abc import Iterable, Iterator, Sequence

from textual import on
from textual.content import Content

from backends.text import format_duration
from orchestrator.engine.account import outcomes, stands
from orchestrator.events.events import RolloutEnded
from orchestrator.events.state import NodeState
from orchestrator.events.text import (
    PURPOSES,
    WayLine,
    mixed_versions,
    reason_without_result,
    way_lines,
    whose_words,
)
from widgets.dialogs.button import Choice
from widgets.dialogs.hanging_text import QUIET, Line, text
from widgets.dialogs.report import Report, heading

LOOKS = {
    "healthy": ("✓ healthy", "$text-success"),
    "degraded": ("✗ degraded", "$text-error"),
    "aborted": ("! aborted", "$text-warning"),
}


MARKS = {
    NodeState.UPGRADED: ("✓", "$text-success"),
    NodeState.ROLLED_BACK: ("✓", "$text-success"),
    NodeState.FAILED: ("✗", "$text-error"),
    NodeState.PUT_BACK: ("↶", "$text-warning"),
    NodeState.HELD: ("!", "$text-warning"),
    NodeState.INTERRUPTED: ("!", "$text-warning"),
    NodeState.SKIPPED: ("·", QUIET),
    NodeState.PENDING: ("·", QUIET),
}


class ResultScreen(Report[None]):
    """Nothing to decide: it is read, copied and closed."""

    def __init__(self, ended: RolloutEnded) -> None:
        super().__init__()
        self._ended = ended

    def headline(self) -> Content:
        ended = self._ended
        words, style = LOOKS[ended.result]
        why = reason_without_result(ended.result, ended.reason)
        return text(words, style) + text(
            (f" · {why}" if why else "") + f" · {format_duration(ended.duration_s)}"
        )

    def lines(self) -> Sequence[Line]:
        return [*self._blocked(), *self._out(), *self._unseen(), *self._ways_on(), *self._outcomes()]

    def reason(self) -> Content:
        out = len(self._ended.out_of_rotation)
        if self._ended.unreachable_balancers:
            return text("✗ not everything could be read", "$text-error")
        return text(f"{out} out of rotation" if out else "everything is in rotation")

    def choices(self) -> Iterable[Choice]:
        yield Choice("close", "Close")

    def commands(self) -> Sequence[str]:
        return [
            command
            for each in self._ended.out_of_rotation
            for command in (*each.command_texts, *([each.rollback_command] if each.rollback_command else []))
        ] + [way.command for way in self._ended.ways_on]

    @on(Choice.Pressed)
    def _pressed(self) -> None:
        self.dismiss(None)

    def _out(self) -> Iterator[Line]:
        for each in self._ended.out_of_rotation:
            words = whose_words(each)
            title = f"‖ Out of rotation: {each.node}" + (f" ({words})" if words else "")
            yield heading(title, "$text-primary" if each.intentional else "$text-error")
            for place in each.servers:
                yield Line(text("  "), text(place))
            yield from map(_way, way_lines(each, blocked=bool(self._ended.blocked)))

    def _blocked(self) -> Iterator[Line]:
        if self._ended.blocked:
            yield heading("✗ No rolldeck command works now", "$text-error")
            yield Line(text("  "), text(self._ended.blocked))

    def _ways_on(self) -> Iterator[Line]:
        if self._ended.ways_on:
            yield heading("The rollout")
        for way in self._ended.ways_on:
            yield Line(text(f"  {PURPOSES[way.purpose]:<14}", QUIET), text(way.command, "bold"))

    def _unseen(self) -> Iterator[Line]:
        if self._ended.unreachable_balancers:
            yield heading("? Unknown")
        for each in self._ended.unreachable_balancers:
            yield Line(text("✗ ", "$text-error"), text(each))

    def _outcomes(self) -> Iterator[Line]:
        ended = self._ended
        yield heading("Nodes")
        for outcome in outcomes(ended):
            mark, style = MARKS[outcome.state]
            head = text(f"{mark} {outcome.title:<12}", style) + text(f"{len(outcome.nodes):>4}  ")
            names = [
                f"{name} ({stands(ended, name)})" if outcome.and_rolled_back else name
                for name in outcome.nodes
            ]
            yield Line(head, text(", ".join(names)))
        if mixed := mixed_versions(ended.versions):
            yield Line(text(f"  {'versions':<18}", QUIET), text(mixed))


def _way(line: WayLine) -> Line:
    match line.kind:
        case "refused":
            return Line(text(f"  {line.label} ", "$text-warning"), text(line.text))
        case "rolldeck":
            return Line(text(f"  {line.label} ", QUIET), text(line.text, "bold"))
        case "heading":
            return Line(text("  "), text(line.label, QUIET))
        case "by_hand":
            return Line(text(f"    {line.label} "), text(line.text))
