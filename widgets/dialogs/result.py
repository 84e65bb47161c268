"""The result of a rollout: first the nodes that are out of rotation, with the commands that put them back."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content

from backends.name_ranges import fold_names
from backends.text import format_duration
from orchestrator.engine.result import format_version_and_rotation, group_outcomes
from orchestrator.events.events import NodeFailed, RolloutEnded
from orchestrator.events.judgement import Verdict, VerdictChanged
from orchestrator.events.state import NodeState
from orchestrator.events.steps import STEPS
from orchestrator.events.text import describe, describe_duration, describe_mixed_versions, strip_result
from orchestrator.events.timeline import Timeline
from orchestrator.events.verdict_text import VERDICT_GLYPHS, describe_final_verdict
from orchestrator.events.ways_back import WAY_ON_LABELS, WayLine, describe_intention, list_way_lines
from widgets.dialogs.base import Report, make_heading
from widgets.dialogs.elements import QUIET_STYLE, Entry, InlineButton, to_content

LABEL_CELLS = 18  # cells of a label, below those of the nodes
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

    HELP = """
# How a rollout has ended
First what is out of rotation, with the commands that put it back, then why nodes have failed, what was done
and what clients saw. `y` copies this page, `Y` only the commands.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", id="report.copy", tooltip="Copy this page to the clipboard"),
        Binding(
            "Y",
            "copy_commands",
            "commands",
            id="result.commands",
            tooltip="Copy the commands to the clipboard",
        ),
    ]

    def __init__(
        self,
        ended: RolloutEnded,
        verdict: VerdictChanged | None = None,
        *,
        timeline: Timeline | None = None,
        entry: int = 0,
    ) -> None:
        """Create the screen.

        Args:
            ended: how the rollout has ended.
            verdict: the last one.
            timeline: of all events of the rollout, as far as they are known.
            entry: its number in this machine's journal; 0 if it is not there.
        """
        super().__init__()
        self._ended = ended
        self._verdict = verdict
        self._timeline = timeline
        self._entry = entry

    def headline(self) -> Content:
        ended = self._ended
        words, style = LOOKS[ended.result]
        why = strip_result(ended.result, ended.reason)
        return to_content(words, style) + to_content(
            (f" · {why}" if why else "") + f" · {describe_duration(ended)}"
        )

    def entries(self) -> Sequence[Entry]:
        more = list(build_account_entries(self._timeline)) if self._timeline is not None else []
        if self._entry:
            more.append(_fact("all of it", f"rolldeck history show {self._entry}", "bold"))
        return [*build_result_entries(self._ended, self._verdict), *more]

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

    def action_copy(self) -> None:
        lines = [self.headline(), *(entry.head + entry.body for entry in self.entries())]
        self.app.copy_to_clipboard("\n".join(line.plain for line in lines) + "\n")
        self.notify("this page was copied", timeout=3)

    def action_copy_commands(self) -> None:
        super().action_copy()

    @on(InlineButton.Pressed)
    def _pressed(self) -> None:
        self.dismiss(None)


def build_result_entries(ended: RolloutEnded, verdict: VerdictChanged | None = None) -> Iterator[Entry]:
    """Yield how a rollout has ended: what is out of rotation first, with the commands that put it back."""
    yield from _blocked(ended)
    yield from _out(ended)
    yield from _unseen(ended)
    yield from _ways_on(ended)
    yield from _outcomes(ended, verdict)


def build_account_entries(timeline: Timeline) -> Iterator[Entry]:
    """Yield why nodes have failed, which versions there were, what took how long, and what clients saw."""
    state = timeline.state
    failures = [record.event for record in timeline.notes if isinstance(record.event, NodeFailed)]
    # The last one of each node, also if it was brought back after that.
    last = {failed.node: failed for failed in failures}
    done = {node.name for node in state.nodes.values() if node.state == NodeState.UPGRADED}
    failed_nodes = [failed for name, failed in last.items() if name not in done]
    if failed_nodes:
        yield make_heading("Why")
    for failed in failed_nodes:
        words = f"{failed.node} at {failed.step}: {failed.error}"
        yield Entry(to_content("✗ ", "$text-error"), to_content(words))
        if failed.servers:
            yield Entry(to_content("  HAProxy then: ", QUIET_STYLE), to_content(" · ".join(failed.servers)))
        for line in timeline.logs.get(failed.node, ()):
            yield Entry(to_content("  | ", QUIET_STYLE), to_content(line))
    yield make_heading("Account")
    before = state.versions_before()
    yield _fact("versions", f"{before or 'unknown'} → {state.version}")
    if timeline.spans:
        done = {span.step for span in timeline.spans}
        steps = [f"{step} {format_duration(timeline.duration_of(step))}" for step in STEPS if step in done]
        yield _fact("steps", ", ".join(steps))
        yield _fact("time", timeline.times_text)
    if (traffic := timeline.traffic) is not None:
        style = "$text-error" if traffic.errors or traffic.unattributed else ""
        yield _fact("traffic", describe(traffic), style)


def _fact(label: str, value: str, style: str = "") -> Entry:
    return Entry(to_content(f"  {label:<{LABEL_CELLS}}", QUIET_STYLE), to_content(value, style))


def _out(ended: RolloutEnded) -> Iterator[Entry]:
    for out in ended.out_of_rotation:
        words = describe_intention(out)
        title = f"‖ Out of rotation: {out.node}" + (f" ({words})" if words else "")
        yield make_heading(title, "$text-primary" if out.intentional else "$text-error")
        for place in out.servers:
            yield Entry(to_content("  "), to_content(place))
        yield from map(_way, list_way_lines(out, blocked=bool(ended.blocked)))


def _blocked(ended: RolloutEnded) -> Iterator[Entry]:
    if ended.blocked:
        yield make_heading("✗ No rolldeck command works now", "$text-error")
        yield Entry(to_content("  "), to_content(ended.blocked))


def _ways_on(ended: RolloutEnded) -> Iterator[Entry]:
    if ended.ways_on:
        yield make_heading("The rollout")
    for way in ended.ways_on:
        yield Entry(
            to_content(f"  {WAY_ON_LABELS[way.purpose]:<14}", QUIET_STYLE), to_content(way.command, "bold")
        )


def _unseen(ended: RolloutEnded) -> Iterator[Entry]:
    if ended.unreachable_balancers:
        yield make_heading("? Unknown")
    for name in ended.unreachable_balancers:
        yield Entry(to_content("✗ ", "$text-error"), to_content(name))


def _outcomes(ended: RolloutEnded, verdict: VerdictChanged | None) -> Iterator[Entry]:
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
        yield _fact("versions", mixed)
    if verdict is not None:
        head = to_content(
            f"{VERDICT_GLYPHS[verdict.state]} {'verdict':<{LABEL_CELLS}}", VERDICT_STYLES[verdict.state]
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
