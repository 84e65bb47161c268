"""A plan and its findings, as text."""

from collections.abc import Iterator, Sequence

from backends.text import counted
from console.terminal.output import clean, paint, table
from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.plan import Finding, Plan, PlannedNode, Severity, grouped

MARKS = {Severity.ERROR: ("✗", "bad"), Severity.WARNING: ("!", "warn"), Severity.INFO: ("·", "info")}


def findings(found: Sequence[Finding]) -> Iterator[str]:
    """Errors first; the same text about several subjects is said once."""
    for (severity, text), subjects in grouped(found).items():
        glyph, kind = MARKS[severity]
        yield f"{paint(glyph, kind)} {clean(', '.join(subjects))}: {clean(text)}"


def summary(plan: Plan) -> Iterator[str]:
    """What would happen to whom, and what stays in rotation meanwhile."""
    work = sum(len(each) for each in plan.batches)
    yield (
        f"{plan.application} → {plan.version} · {work} of {counted(len(plan.nodes), 'node')}"
        f" in {counted(len(plan.batches), 'batch')}"
    )
    rows = [(each.name, each.current, each.why + failed_before(each)) for each in plan.nodes]
    yield from table(("NODE", "NOW", "WHAT"), rows)
    if plan.batches:
        yield ""
        yield from table(("BATCH", "NODES", "STAYS IN ROTATION"), list(_batch_rows(plan)), right=("BATCH",))


def failed_before(node: PlannedNode) -> str:
    """Beside what is to be done with a node: the version that it is to have failed there."""
    return f"; that failed here in rollout {node.failed_in}" if node.failed_in else ""


def _batch_rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for number, (names, capacities) in enumerate(zip(plan.batches, plan.capacities, strict=True), 1):
        yield str(number), ", ".join(names), "; ".join(str(each) for each in capacities)


def differences(found: Sequence[Difference]) -> Iterator[str]:
    """What is not as it was when somebody looked first, before the lock was ours."""
    yield f"{paint('!', 'warn')} the state has changed meanwhile:"
    yield from (f"  {clean(str(each))}" for each in found)


def commands(plan: Plan) -> Iterator[str]:
    """Every command that would be sent, in order, as it would be sent."""
    if plan.prefetch:
        yield "prefetch, in parallel on all nodes:"
        yield from _listed([("prefetch", each.target, each.command) for each in plan.prefetch])
    for names in plan.batches:
        for name in names:
            yield f"{clean(name)}:"
            planned = plan.node(name).commands
            yield from _listed([(each.step, each.target, each.command) for each in planned])


def _listed(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    for line in table(("STEP", "WHERE", "COMMAND"), rows)[1:]:
        yield f"  {line}"
