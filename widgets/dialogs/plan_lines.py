"""A plan in lines: what preflight found, what stays in rotation, who gets what, every command."""

from collections.abc import Iterator, Sequence

from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.plan import Finding, Plan, PlannedCommand, Severity
from orchestrator.planning.text import (
    SEVERITY_GLYPHS,
    command_groups,
    failed_before_text,
    group_capacities,
    group_findings,
    task_text,
)
from widgets.dialogs.hanging_text import QUIET, Line, cell, column, line, text
from widgets.dialogs.report import heading

STYLES = {Severity.ERROR: "$text-error", Severity.WARNING: "$text-warning", Severity.INFO: QUIET}
BAR = 12  # cells at most


def findings(found: Sequence[Finding]) -> Iterator[Line]:
    """Errors first; the same text about several subjects is said once."""
    if found:
        yield heading("Preflight found")
    for (severity, words), subjects in group_findings(found).items():
        style = STYLES[severity]
        yield Line(
            text(f"{SEVERITY_GLYPHS[severity]} ", style),
            text(", ".join(subjects), style) + text(f": {words}"),
        )


def differences(found: Sequence[Difference]) -> Iterator[Line]:
    """What is not as it was when somebody looked first."""
    if found:
        yield heading("Changed meanwhile")
    for each in found:
        style = STYLES[Severity.WARNING]
        mark = text(f"{SEVERITY_GLYPHS[Severity.WARNING]} ", style)
        yield Line(mark, text(each.subject, style) + text(f": {each.change}"))


def capacity(plan: Plan) -> Iterator[Line]:
    """What stays in rotation while each batch is out; places that are alike share a line."""
    if not plan.batches:
        return
    yield heading("In rotation, batch by batch")
    most = max((each.before for batch in plan.capacities for each in batch), default=0)
    digits = len(str(most))
    for number, (names, found) in enumerate(zip(plan.batches, plan.capacities, strict=True), 1):
        label = cell(f"{number}/{len(plan.batches)}", 2 * len(str(len(plan.batches))) + 1, "bold", right=True)
        yield Line(label + "  ", text(", ".join(names)))
        for left, names_alike in group_capacities(found):
            before, after, floor, allowed = left.before, left.after, left.floor, left.allowed
            style = "$text-success" if allowed else "$text-error"
            numbers = (
                f"{'✓' if allowed else '✗'} {before:>{digits}} → {after:>{digits}}, floor {floor:>{digits}}  "
            )
            head = (
                text(" " * (label.cell_length + 2))
                + text(numbers, style)
                + text(_bar(before, after, most), style)
            )
            yield Line(head + "  ", text(f"{left.backend} on {', '.join(names_alike)}{left.notes}"))


def _bar(before: int, after: int, most: int) -> str:
    """What stays, and what goes meanwhile; all bars of a plan have one scale."""
    cells = min(BAR, most)
    full, there = (round(value * cells / most) if most else 0 for value in (after, before))
    return ("█" * full + "░" * (there - full)).ljust(cells)


def nodes(plan: Plan) -> Iterator[Line]:
    """Every node that was looked at: what it has, and what is to be done."""
    yield heading("Nodes")
    names, versions = (
        column(each.name for each in plan.nodes),
        column((each.displayed_version for each in plan.nodes), 20),
    )
    for each in plan.nodes:
        mark = text("→ ") if each.steps else text("· ", QUIET)
        head = mark + cell(each.name, names) + "  " + cell(each.displayed_version, versions) + "  "
        style = "" if each.steps else QUIET
        yield Line(head, text(task_text(each), style) + text(failed_before_text(each), "$text-warning"))


def commands(plan: Plan) -> Iterator[Line]:
    """Every command that would be sent, in order, as it would be sent."""
    yield heading("Commands, as they would be sent")
    for title, planned in command_groups(plan):
        yield line(text(title, "bold"))
        yield from _listed(planned)


def _listed(planned: Sequence[PlannedCommand]) -> Iterator[Line]:
    where = column((each.target for each in planned), 20)
    for each in planned:
        head = text(f"  {each.step:<7}  ", QUIET) + cell(each.target, where, QUIET) + "  "
        yield Line(head, text(each.command))
