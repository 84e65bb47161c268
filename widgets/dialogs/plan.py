"""The plan: everything that is known before a change, and the only way to start the change."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from backends.text import counted
from orchestrator.engine.plan_differences import Difference, fold_differences
from orchestrator.planning.findings import SEVERITY_GLYPHS, Finding, Severity, fold_findings
from orchestrator.planning.plan import (
    Plan,
    PlannedCommand,
    batch_numbers_text,
    command_groups,
    drain_lines,
    failed_before_text,
    failed_versions_text,
    group_capacities,
    group_loads,
    task_text,
)
from orchestrator.planning.plan_groups import group_batches, group_nodes
from widgets.dialogs.base import Report, make_heading
from widgets.dialogs.elements import (
    QUIET_STYLE,
    Entries,
    Entry,
    InlineButton,
    entry,
    measure_column,
    pad_cell,
    to_content,
)
from widgets.dialogs.reason import ReasonInput


class PlanScreen(Report[str | None]):
    """The answer is None unless the operator starts it, which errors or an empty plan prevent.

    Then it is the reason that was given here; empty for none.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "commands", "commands", id="plan.commands", tooltip="Show or hide every command")
    ]

    def __init__(self, plan: Plan, differences: Sequence[Difference] = (), reason: str | None = None) -> None:
        """Create the screen for one plan.

        Args:
            plan: is shown.
            differences: from the plan that was agreed to before, where it is another one now.
            reason: that was given before, where this screen asks for it; None where it does not.
        """
        super().__init__()
        self._plan = plan
        self._differences = differences
        self._reason = reason
        self._with_commands = False

    def headline(self) -> Content:
        plan = self._plan
        work = sum(map(len, plan.batches))
        return to_content(
            f"{plan.application} → {plan.version} · {work} of {counted(len(plan.nodes), 'node')}"
            f" in {counted(len(plan.batches), 'batch')}"
        )

    def entries(self) -> Sequence[Entry]:
        plan = self._plan
        found = [*list_differences(self._differences), *list_findings(plan.findings)]
        lines = [*found, *list_capacities(plan), *list_loads(plan), *list_nodes(plan)]
        if self._with_commands:
            return [*lines, *list_commands(plan)]
        commands = counted(len(self.commands()), "command")
        return [*lines, entry(""), entry(to_content(f"c shows all {commands}", QUIET_STYLE))]

    def fields(self) -> Iterable[Widget]:
        if self._reason is not None and self._may_start:
            is_required = self._plan.policy.require_reason
            yield ReasonInput(self._reason, is_required=is_required, is_last=True)

    def status(self) -> Content:
        if errors := len(fold_findings(self._plan.errors)):
            words = f"✗ cannot start: {counted(errors, 'error')}, see above"
            return to_content(words, "bold $text-error")
        if not self._plan.batches:
            return to_content("· nothing to do")
        if failed := failed_versions_text(self._plan):
            return to_content(f"! {failed}", "bold $text-warning")
        return to_content("nothing has been touched yet")

    def buttons(self) -> Iterable[InlineButton]:
        yield InlineButton("no", "Back")
        start = InlineButton("yes", "Start", "warning")
        start.disabled = not self._may_start
        yield start

    @property
    def _may_start(self) -> bool:
        return bool(self._plan.batches) and not self._plan.errors

    def commands(self) -> Sequence[str]:
        planned = [
            command
            for batch in self._plan.batches
            for name in batch
            for command in self._plan.node(name).commands
        ]
        return [f"{command.target}: {command.command}" for command in (*self._plan.prefetch, *planned)]

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        if event.answer != "yes":
            self.dismiss(None)
        elif not (fields := self.query(ReasonInput)):
            self.dismiss("")
        elif (reason := fields.first().read()) is not None:
            self.dismiss(reason)

    @on(ReasonInput.Submitted)
    def _reason_typed(self) -> None:
        """Move the focus to the button: Enter in a field starts nothing."""
        self.query(InlineButton).last().focus()

    def action_commands(self) -> None:
        self._with_commands = not self._with_commands
        self.query_one("#lines", Entries).show(self.entries())


STYLES = {Severity.ERROR: "$text-error", Severity.WARNING: "$text-warning", Severity.INFO: QUIET_STYLE}
BAR = 12  # cells at most


def list_findings(found: Sequence[Finding]) -> Iterator[Entry]:
    """List findings, errors first; what several subjects share is listed once."""
    if found:
        yield make_heading("Preflight found")
    for finding in fold_findings(found):
        style = STYLES[finding.severity]
        yield Entry(
            to_content(f"{SEVERITY_GLYPHS[finding.severity]} ", style),
            to_content(finding.subject, style) + to_content(f": {finding.text}"),
        )


def list_differences(found: Sequence[Difference]) -> Iterator[Entry]:
    """List what has changed since the operator reviewed it."""
    if found:
        yield make_heading("Changed meanwhile")
    for names, change in fold_differences(found):
        style = STYLES[Severity.WARNING]
        mark = to_content(f"{SEVERITY_GLYPHS[Severity.WARNING]} ", style)
        yield Entry(mark, to_content(names, style) + to_content(f": {change}"))


def list_capacities(plan: Plan) -> Iterator[Entry]:
    """List what stays in rotation during each batch; load balancers with equal numbers share a line."""
    if not plan.batches:
        return
    yield make_heading("In rotation, batch by batch")
    most = max((capacity.before for batch in plan.capacities for capacity in batch), default=0)
    digits = len(str(most))
    groups = {f"{group.numbers}/{len(plan.batches)}": group for group in group_batches(plan)}
    widest = max(map(len, groups))
    for numbers, group in groups.items():
        label = pad_cell(numbers, widest, "bold", right=True)
        yield Entry(label + "  ", to_content(group.names))
        for left, names_alike in group_capacities(group.capacities):
            before, after, floor, allowed = left.before, left.after, left.floor, left.allowed
            style = "$text-success" if allowed else "$text-error"
            numbers = (
                f"{'✓' if allowed else '✗'} {before:>{digits}} → {after:>{digits}}, floor {floor:>{digits}}  "
            )
            head = (
                to_content(" " * (label.cell_length + 2))
                + to_content(numbers, style)
                + to_content(_bar(before, after, most), style)
            )
            yield Entry(head + "  ", to_content(f"{left.backend} on {', '.join(names_alike)}{left.notes}"))


def list_loads(plan: Plan) -> Iterator[Entry]:
    """List what stays in rotation would carry, and whether that is proven."""
    loads = group_loads(plan)
    if loads:
        yield make_heading("Load of what stays in rotation")
    glyphs = {"proven": ("✓", "$text-success"), "unproven": ("?", QUIET_STYLE)}
    for load, numbers in loads:
        glyph, style = glyphs.get(load.grade, ("✗", "$text-error"))
        yield Entry(
            to_content(f"{glyph} ", style), to_content(f"batch {batch_numbers_text(numbers)}: {load}")
        )


def _bar(before: int, after: int, most: int) -> str:
    """Return a bar of what stays and what leaves; all bars of a plan have the same scale."""
    cells = min(BAR, most)
    full, there = (round(value * cells / most) if most else 0 for value in (after, before))
    return ("█" * full + "░" * (there - full)).ljust(cells)


def list_nodes(plan: Plan) -> Iterator[Entry]:
    """List every node with its current version and its task; many that are alike have one line."""
    yield make_heading("Nodes")
    groups = list(group_nodes(plan))
    widest = measure_column(names for names, _ in groups)
    versions = measure_column((node.displayed_version for _, node in groups), 20)
    for names, node in groups:
        mark = to_content("→ ") if node.steps else to_content("· ", QUIET_STYLE)
        head = mark + pad_cell(names, widest) + "  " + pad_cell(node.displayed_version, versions) + "  "
        style = "" if node.steps else QUIET_STYLE
        yield Entry(
            head, to_content(task_text(node), style) + to_content(failed_before_text(node), "$text-warning")
        )
        if node.drain is not None:
            yield Entry(to_content(" " * head.cell_length), to_content(f"drain: {node.drain}", QUIET_STYLE))
    lines = [*drain_lines(plan), *([str(plan.verdict)] if plan.verdict is not None else [])]
    for line in lines:
        yield Entry(to_content("· ", QUIET_STYLE), to_content(line, QUIET_STYLE))


def list_commands(plan: Plan) -> Iterator[Entry]:
    """List every command in order, exactly as it would be sent."""
    yield make_heading("Commands, as they would be sent")
    for title, planned in command_groups(plan):
        yield entry(to_content(title, "bold"))
        yield from _listed(planned)


def _listed(planned: Sequence[PlannedCommand]) -> Iterator[Entry]:
    where = measure_column((command.target for command in planned), 20)
    for command in planned:
        head = (
            to_content(f"  {command.step:<7}  ", QUIET_STYLE)
            + pad_cell(command.target, where, QUIET_STYLE)
            + "  "
        )
        yield Entry(head, to_content(command.command))
