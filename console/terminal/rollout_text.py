"""A rollout as text: its plan and findings before it starts, and its result with what is out of rotation."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from backends.name_ranges import fold_names
from backends.text import counted
from console.exit_codes import ExitCode
from console.terminal.output import clean, paint, table
from console.terminal.verdict import verdict_lines
from orchestrator.engine.result import format_version_and_rotation, group_outcomes
from orchestrator.events.events import RolloutEnded
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.text import describe_duration, describe_mixed_versions, format_reason
from orchestrator.events.ways_back import (
    WAY_ON_LABELS,
    OutOfRotation,
    WayLine,
    describe_intention,
    list_way_lines,
)
from orchestrator.planning.findings import SEVERITY_GLYPHS, Finding, Severity, fold_findings
from orchestrator.planning.plan import (
    Plan,
    batch_numbers_text,
    command_groups,
    drain_lines,
    failed_before_text,
    group_loads,
    task_text,
)
from orchestrator.planning.plan_groups import group_batches, group_nodes

if TYPE_CHECKING:
    from orchestrator.engine.plan_differences import Difference

EXIT_CODES = {"healthy": ExitCode.HEALTHY, "degraded": ExitCode.DEGRADED, "aborted": ExitCode.ABORTED}
RESULT_KINDS = {"healthy": "ok", "degraded": "bad", "aborted": "warn"}

_SEVERITY_KINDS = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.INFO: "info"}


def finding_lines(found: Sequence[Finding]) -> Iterator[str]:
    """Yield findings, errors first; what several subjects share is printed once."""
    for finding in fold_findings(found):
        glyph = paint(SEVERITY_GLYPHS[finding.severity], _SEVERITY_KINDS[finding.severity])
        yield f"{glyph} {clean(finding.subject)}: {clean(finding.text)}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield what would be done to which node, and what stays in rotation meanwhile."""
    work = sum(len(batch) for batch in plan.batches)
    yield (
        f"{plan.application} → {plan.version} · {work} of {counted(len(plan.nodes), 'node')}"
        f" in {counted(len(plan.batches), 'batch')}"
    )
    groups = list(group_nodes(plan))
    rows = [
        (names, node.displayed_version, task_text(node) + failed_before_text(node)) for names, node in groups
    ]
    drains = [str(node.drain) if node.drain is not None else "" for _, node in groups]
    if any(drains):
        yield from table(
            ("NODE", "NOW", "WHAT", "DRAIN"),
            [(*row, drain) for row, drain in zip(rows, drains, strict=True)],
        )
        yield from map(clean, drain_lines(plan))
    else:
        yield from table(("NODE", "NOW", "WHAT"), rows)
    if plan.verdict is not None and plan.batches:
        yield clean(str(plan.verdict))
    if plan.batches:
        yield ""
        batch_rows = [
            (group.numbers, group.names, "; ".join(map(str, group.capacities)))
            for group in group_batches(plan)
        ]
        yield from table(("BATCH", "NODES", "STAYS IN ROTATION"), batch_rows, right=("BATCH",))
    if loads := group_loads(plan):
        yield ""
        load_rows = [(batch_numbers_text(numbers), str(load)) for load, numbers in loads]
        yield from table(("BATCH", "LOAD OF WHAT STAYS"), load_rows)


def difference_lines(found: "Sequence[Difference]") -> Iterator[str]:
    """Yield what has changed between the first look and taking the lock."""
    # It imports all steps, which the history does not need.
    from orchestrator.engine.plan_differences import fold_differences

    yield f"{paint('!', 'warn')} the state has changed meanwhile:"
    yield from (f"  {clean(f'{names}: {change}')}" for names, change in fold_differences(found))


def command_lines(plan: Plan) -> Iterator[str]:
    """Yield every command that would be sent, in order."""
    for title, planned in command_groups(plan):
        yield f"{clean(title)}:"
        rows = [(command.step, command.target, command.command) for command in planned]
        for line in table(("STEP", "WHERE", "COMMAND"), rows)[1:]:
            yield f"  {line}"


def ending_lines(ended: RolloutEnded, verdict: VerdictChanged | None = None) -> Iterator[str]:
    """Yield the result of a rollout, for standard output.

    Args:
        ended: the result.
        verdict: the last judgement on its version; None if there was none.
    """
    reason = reason_text(ended.result, ended.reason)
    yield f"{paint(ended.result, RESULT_KINDS[ended.result])}{reason} · {describe_duration(ended)}"
    for outcome in group_outcomes(ended):
        if outcome.and_rolled_back:
            yield from (
                f"  {outcome.title}: {clean(group)}" for group in _group_by_state(ended, outcome.nodes)
            )
        else:
            yield f"  {outcome.title:<12}{clean(fold_names(outcome.nodes))}"
    if mixed := describe_mixed_versions(ended.versions):
        yield f"  {'versions':<12}{clean(mixed)}"
    if ended.blocked:
        yield f"{paint('no rolldeck command works now', 'bad')}: {clean(ended.blocked)}"
    if ended.unproven:
        subject = "it" if len(ended.unproven) == 1 else "they"
        why_not = f"too few requests, or errors that were not decided, while {subject} baked"
        yield f"  {'unproven':<12}{clean(fold_names(ended.unproven))}: {why_not}"
    yield from verdict_lines(verdict)
    for out in ended.out_of_rotation:
        yield f"{paint('out of rotation', 'out')}: {clean(out.node)}{_intention_suffix(out)}"
        for server in out.servers:
            yield f"  {clean(server)}"
        yield from map(_way_text, list_way_lines(out, blocked=bool(ended.blocked)))
    for text in ended.unreachable_balancers:
        yield f"{paint('unknown', 'bad')}: {clean(text)}"
    first = "once that is fixed, " if ended.blocked else ""
    for way in ended.ways_on:
        yield f"{first}{WAY_ON_LABELS[way.purpose]:<14}{clean(way.command)}"
        first = ""


def _intention_suffix(out: OutOfRotation) -> str:
    text = describe_intention(out)
    return f" ({clean(text)})" if text else ""


def _group_by_state(ended: RolloutEnded, names: Iterable[str]) -> Iterator[str]:
    """Yield the nodes that have the same state together, as in `web1, web2 (1.4.2, in rotation)`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(format_version_and_rotation(ended, name), []).append(name)
    for state, alike in groups.items():
        yield f"{fold_names(alike)} ({state})"


def _way_text(line: WayLine) -> str:
    if line.kind == "by_hand":
        return f"    {line.label} {clean(line.text)}"
    space = "  " if line.kind == "rolldeck" else " "
    return f"  {line.label}{space}{clean(line.text)}".rstrip()


def reason_text(result: str, reason: str) -> str:
    """Return the cleaned reason that follows the word for the result."""
    return clean(format_reason(result, reason))
