"""A plan in lines: what preflight found, what stays in rotation, who gets what, every command."""

from collections.abc import Iterator, Sequence

from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.plan import Finding, Plan, PlannedCommand, Severity, grouped
from widgets.dialogs.hanging_text import QUIET, Line, cell, column, line, text
from widgets.dialogs.report import heading

MARKS = {
    Severity.ERROR: ("✗ ", "$text-error"),
    Severity.WARNING: ("! ", "$text-warning"),
    Severity.INFO: ("· ", QUIET),
}
BAR = 12  # cells at most


def findings(found: Sequence[Finding]) -> Iterator[Line]:
    """Errors first; the same text about several subjects is said once."""
    if found:
        yield heading("Preflight found")
    for (severity, words), subjects in grouped(found).items():
        mark, style = MARKS[severity]
        yield Line(text(mark, style), text(", ".join(subjects), style) + text(f": {words}"))


def differences(found: Sequence[Difference]) -> Iterator[Line]:
    """What is not as it was when somebody looked first."""
    if found:
        yield heading("Changed meanwhile")
    for each in found:
        mark, style = MARKS[Severity.WARNING]
        change = text(f": {each.what}: {each.before or 'nothing'} → {each.now or 'nothing'}")
        yield Line(text(mark, style), text(each.subject, style) + change)


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
        for each, places in _alike(found).items():
            before, after, floor, allowed, backend, notes = each
            style = "$text-success" if allowed else "$text-error"
            numbers = (
                f"{'✓' if allowed else '✗'} {before:>{digits}} → {after:>{digits}}, floor {floor:>{digits}}  "
            )
            head = (
                text(" " * (label.cell_length + 2))
                + text(numbers, style)
                + text(_bar(before, after, most), style)
            )
            yield Line(head + "  ", text(f"{backend} on {', '.join(places)}{notes}"))


def _alike(found: Sequence[Capacity]) -> dict[tuple[int, int, int, bool, str, str], list[str]]:
    result: dict[tuple[int, int, int, bool, str, str], list[str]] = {}
    for each in found:
        key = (each.before, each.after, each.floor, each.allowed, each.backend, each.notes)
        result.setdefault(key, []).append(each.instance)
    return result


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
        column((each.current for each in plan.nodes), 20),
    )
    for each in plan.nodes:
        mark = text("→ ") if each.steps else text("· ", QUIET)
        head = mark + cell(each.name, names) + "  " + cell(each.current, versions) + "  "
        back = "; put in rotation although it is out now" if each.to_ready else ""
        failed = (
            text(f"; that failed here in rollout {each.failed_in}", "$text-warning") if each.failed_in else ""
        )
        yield Line(head, text(each.why + back, "" if each.steps else QUIET) + failed)


def commands(plan: Plan) -> Iterator[Line]:
    """Every command that would be sent, in order, as it would be sent."""
    yield heading("Commands, as they would be sent")
    if plan.prefetch:
        yield line(text("prefetch, in parallel on all nodes", "bold"))
        yield from _listed(plan.prefetch)
    for name in (name for batch in plan.batches for name in batch):
        yield line(text(name, "bold"))
        yield from _listed(plan.node(name).commands)


def _listed(planned: Sequence[PlannedCommand]) -> Iterator[Line]:
    where = column((each.target for each in planned), 20)
    for each in planned:
        head = text(f"  {each.step:<7}  ", QUIET) + cell(each.target, where, QUIET) + "  "
        yield Line(head, text(each.command))
