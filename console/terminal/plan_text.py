"""A plan and its findings, as text."""

from collections.abc import Iterator, Sequence

from backends.text import counted
from console.terminal.output import clean, paint, table
from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.plan import (
    SEVERITY_GLYPHS,
    Finding,
    Plan,
    Severity,
    command_groups,
    failed_before_text,
    group_findings,
    task_text,
)

_KINDS = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.INFO: "info"}


def finding_lines(found: Sequence[Finding]) -> Iterator[str]:
    """Errors first; the same text about several subjects is said once."""
    for (severity, text), subjects in group_findings(found).items():
        glyph = paint(SEVERITY_GLYPHS[severity], _KINDS[severity])
        yield f"{glyph} {clean(', '.join(subjects))}: {clean(text)}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """What would happen to whom, and what stays in rotation meanwhile."""
    work = sum(len(each) for each in plan.batches)
    yield (
        f"{plan.application} → {plan.version} · {work} of {counted(len(plan.nodes), 'node')}"
        f" in {counted(len(plan.batches), 'batch')}"
    )
    rows = [
        (node.name, node.displayed_version, task_text(node) + failed_before_text(node)) for node in plan.nodes
    ]
    yield from table(("NODE", "NOW", "WHAT"), rows)
    if plan.batches:
        yield ""
        yield from table(("BATCH", "NODES", "STAYS IN ROTATION"), list(_batch_rows(plan)), right=("BATCH",))


def _batch_rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for number, (names, capacities) in enumerate(zip(plan.batches, plan.capacities, strict=True), 1):
        yield str(number), ", ".join(names), "; ".join(str(each) for each in capacities)


def difference_lines(found: Sequence[Difference]) -> Iterator[str]:
    """What is not as it was when somebody looked first, before the lock was ours."""
    yield f"{paint('!', 'warn')} the state has changed meanwhile:"
    yield from (f"  {clean(str(each))}" for each in found)


def command_lines(plan: Plan) -> Iterator[str]:
    """Every command that would be sent, in order, as it would be sent."""
    for title, planned in command_groups(plan):
        yield f"{clean(title)}:"
        rows = [(command.step, command.target, command.command) for command in planned]
        for line in table(("STEP", "WHERE", "COMMAND"), rows)[1:]:
            yield f"  {line}"
