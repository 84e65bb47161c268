"""The result of a rollout: first the nodes that are out of rotation, with the commands that put them back."""

from collections.abc import Iterable, Iterator, Sequence

from textual import on
from textual.content import Content

from backends.name_ranges import fold_names
from backends.text import format_duration
from orchestrator.engine.result import format_version_and_rotation, group_outcomes
from orchestrator.events.events import RolloutEnded
from orchestrator.events.judgement import Verdict, VerdictChanged
from orchestrator.events.state import NodeState
from orchestrator.events.text import describe_mixed_versions, strip_result
from orchestrator.events.verdict_text import VERDICT_GLYPHS, describe_final_verdict
from orchestrator.events.ways_back import WAY_ON_LABELS, WayLine, describe_intention, list_way_lines
from widgets.dialogs.base import Report, make_heading
from widgets.dialogs.elements import QUIET_STYLE, Entry, InlineButton, to_content

LOOKS = {
    "healthy": ("✓ healthy", "$text-success"),
    "degraded": ("✗ degraded", "$text-error"),
    "aborted": ("! aborted", "$text-warning"),
}


VERDICT_STYLES: dict[Verdict, str] = {
    "good": "$text-success",
    "hold": "$text-warning",
    "bad": "$text-error",
    "blind": "$text-warning",
}
MARKS = {
    NodeState.UPGRADED: ("✓", "$text-success"),
    NodeState.ROLLED_BACK: ("✓", "$text-success"),
    NodeState.FAILED: ("✗", "$text-error"),
    NodeState.PUT_BACK: ("↶", "$text-warning"),
    NodeState.HELD: ("!", "$text-warning"),
    NodeState.INTERRUPTED: ("!", "$text-warning"),
    NodeState.SKIPPED: ("·", QUIET_STYLE),
    NodeState.PENDING: ("·", QUIET_STYLE),
}


class ResultScreen(Report[None]):
    """A report without a decision: it can be read, copied and closed."""

    def __init__(self, ended: RolloutEnded, verdict: VerdictChanged | None = None) -> None:
        super().__init__()
        self._ended = ended
        self._verdict = verdict

    def headline(self) -> Content:
        ended = self._ended
        words, style = LOOKS[ended.result]
        why = strip_result(ended.result, ended.reason)
        return to_content(words, style) + to_content(
            (f" · {why}" if why else "") + f" · {format_duration(ended.duration_s)}"
        )

    def entries(self) -> Sequence[Entry]:
        return [*self._blocked(), *self._out(), *self._unseen(), *self._ways_on(), *self._outcomes()]

    def status(self) -> Content:
        out = len(self._ended.out_of_rotation)
        if self._ended.unreachable_balancers:
            return to_content("✗ not everything could be read", "$text-error")
        return to_content(f"{out} out of rotation" if out else "everything is in rotation")

    def buttons(self) -> Iterable[InlineButton]:
        yield InlineButton("close", "Close")

    def commands(self) -> Sequence[str]:
        return [
            command
            for out in self._ended.out_of_rotation
            for command in (*out.command_texts, *([out.rollback_command] if out.rollback_command else []))
        ] + [way.command for way in self._ended.ways_on]

    @on(InlineButton.Pressed)
    def _pressed(self) -> None:
        self.dismiss(None)

    def _out(self) -> Iterator[Entry]:
        for out in self._ended.out_of_rotation:
            words = describe_intention(out)
            title = f"‖ Out of rotation: {out.node}" + (f" ({words})" if words else "")
            yield make_heading(title, "$text-primary" if out.intentional else "$text-error")
            for place in out.servers:
                yield Entry(to_content("  "), to_content(place))
            yield from map(_way, list_way_lines(out, blocked=bool(self._ended.blocked)))

    def _blocked(self) -> Iterator[Entry]:
        if self._ended.blocked:
            yield make_heading("✗ No rolldeck command works now", "$text-error")
            yield Entry(to_content("  "), to_content(self._ended.blocked))

    def _ways_on(self) -> Iterator[Entry]:
        if self._ended.ways_on:
            yield make_heading("The rollout")
        for way in self._ended.ways_on:
            yield Entry(
                to_content(f"  {WAY_ON_LABELS[way.purpose]:<14}", QUIET_STYLE),
                to_content(way.command, "bold"),
            )

    def _unseen(self) -> Iterator[Entry]:
        if self._ended.unreachable_balancers:
            yield make_heading("? Unknown")
        for name in self._ended.unreachable_balancers:
            yield Entry(to_content("✗ ", "$text-error"), to_content(name))

    def _outcomes(self) -> Iterator[Entry]:
        ended = self._ended
        yield make_heading("Nodes")
        for outcome in group_outcomes(ended):
            mark, style = MARKS[outcome.state]
            head = to_content(f"{mark} {outcome.title:<12}", style) + to_content(f"{len(outcome.nodes):>4}  ")
            names = [
                f"{name} ({format_version_and_rotation(ended, name)})" if outcome.and_rolled_back else name
                for name in outcome.nodes
            ]
            yield Entry(head, to_content(fold_names(names)))
        if mixed := describe_mixed_versions(ended.versions):
            yield Entry(to_content(f"  {'versions':<18}", QUIET_STYLE), to_content(mixed))
        if (verdict := self._verdict) is not None:
            head = to_content(
                f"{VERDICT_GLYPHS[verdict.state]} {'verdict':<18}", VERDICT_STYLES[verdict.state]
            )
            yield Entry(head, to_content(describe_final_verdict(verdict)))


def _way(line: WayLine) -> Entry:
    match line.kind:
        case "refused":
            return Entry(to_content(f"  {line.label} ", "$text-warning"), to_content(line.text))
        case "rolldeck":
            return Entry(to_content(f"  {line.label} ", QUIET_STYLE), to_content(line.text, "bold"))
        case "heading":
            return Entry(to_content("  "), to_content(line.label, QUIET_STYLE))
        case "by_hand":
            return Entry(to_content(f"    {line.label} "), to_content(line.text))
