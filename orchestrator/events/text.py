"""Events, servers and the end of a rollout in words, the same wherever they are shown."""

from collections.abc import Callable, Mapping

from backends.model import AdminState, Server
from backends.name_ranges import fold_names
from backends.text import counted, format_clock, format_duration
from orchestrator.balancers.request_errors import MIN_REQUESTS
from orchestrator.events import events
from orchestrator.events.actor import describe_requester_in_full
from orchestrator.events.base import ByActor, Event, Timed
from orchestrator.events.drains import Drained, describe_drained
from orchestrator.events.events import AnyEvent, Baked, StepDone, StepStarted, Traffic, Waiting
from orchestrator.events.judgement import Measured, VerdictChanged
from orchestrator.events.operator_commands import OperatorCommandFinished, OperatorCommandStarted
from orchestrator.events.verdict_text import RepeatedVerdicts, describe_verdict

_SENTENCES: dict[type[Event], str] = {
    events.RolloutStarted: "{operator} starts {application} → {version} on {nodes}: {reason}",
    events.FreezeOverridden: "{operator} overrides the freeze: {reason}",
    events.LockTaken: "{operator} acquired the shared lock (fencing token {fence})",
    events.Prefetched: "prefetched on all nodes in {duration_s}",
    events.BatchStarted: "batch {number}: {nodes}",
    events.NodeStarted: "target version {version}",
    events.StepStarted: "started",
    events.Waiting: "waiting, {remaining}: {words}",
    events.NodeNote: "note: {text}",
    events.CommandStarted: "running on {target}, pid {pid}",
    events.StepDone: "done in {duration_s}: {detail}",
    events.Baked: "{words}, in {duration_s}",
    events.NodeUpgraded: "upgraded in {duration_s}",
    events.NodeRolledBack: "rolled back in {duration_s}",
    events.NodeSkipped: "skipped by {who}",
    events.NodeFailed: "failed: {error}",
    events.ServiceLog: "last output of its service:",
    events.NodePutBack: "put back unchanged: its service had not been stopped",
    events.DecisionRequested: "asks for {choices}: {text}",
    events.DecisionMade: "{who} answered {choice}",
    events.Paused: "paused by {who}: {why}",
    events.Resumed: "resumed by {who} after {duration_s}",
    events.AbortRequested: "abort requested by {who}: {why}",
    events.WaitCut: "{words}, decided by {who}",
    events.Traffic: "{words}, in {duration_s}",
    Drained: "drained: {words}",
    Measured: "measured for {duration_s}: {words}",
    VerdictChanged: "{words}",
    events.HookFired: "hook {name} at {moment}, {duration_s}: {error}",
    events.ManualChangeStarted: "manual change by {operator}: {action} {nodes}{words}: {reason}",
    events.ManualChangeFinished: "the manual change {words}: {error}",
    OperatorCommandStarted: "{title} on {nodes}, {words}by {operator}: {command}",
    OperatorCommandFinished: "ended after {duration_s}: {words}",
    events.Unreadable: "unknown event {kind!r}, which cannot be read: {problem}",
    events.RollbackStarted: "rolling back {nodes} (on_failure = {policy})",
    events.RollbackRefused: "the rollback was refused: {reason}",
    events.RolloutEnded: "ended {result} in {duration_s}: {reason}",
}
"""The sentences of all events but commands. `words` and `remaining` are made of several fields."""


MIN_ANSWER_WAIT_S = 1.0  # seconds; a shorter wait is not worth telling


def describe(event: AnyEvent) -> str:
    """Return an event as a sentence, without its node and step; `list_details` has the lines below.

    Values are not cleaned: that is up to the reader. A command has all of its fields.
    """
    fields = {name: _format_field(name, getattr(event, name)) for name in event.__struct_fields__}
    if isinstance(event, ByActor):
        for name in ("who", "operator"):
            fields[name] = describe_requester_in_full(fields.get(name, ""), event.origin)
    if isinstance(event, Timed | StepDone):
        fields["duration_s"] = describe_duration(event)
    if isinstance(event, Waiting):
        fields["remaining"] = describe_remaining_time(fields["remaining_s"], baking=event.baking)
    fields["words"] = _describe_fields(event)
    sentence = _SENTENCES.get(type(event))
    # Only our own sentences are formats; in values, which come from outside, braces mean nothing.
    if sentence is not None:
        return sentence.format(**fields).removesuffix(": ")
    return "   ".join(filter(None, fields.values()))


def _describe_fields(event: AnyEvent) -> str:
    """Return the part of a sentence that is made of several fields; empty where there is none."""
    match event:
        case Traffic():
            return traffic_text(event)
        case Baked():
            return describe_bake(event)
        case Waiting(words=words):
            return words
        case Drained():
            return describe_drained(event)
        case VerdictChanged():
            return describe_verdict(event)
        case Measured(servers=servers):
            return counted(len(servers), "server")
        case events.ManualChangeStarted(action=action, weight=weight, override=override):
            to = f" to {weight}" if action == "weight" else ""
            return to + (f"; below the floor for {fold_names(override)}" if override else "")
        case events.ManualChangeFinished(error=error):
            return "failed" if error else "was done"
        case events.WaitCut(step=step):
            return "on to maintenance, without waiting longer" if step == "drain" else f"{step} fails now"
    return _describe_operator_command(event)


def _describe_operator_command(event: AnyEvent) -> str:
    match event:
        case OperatorCommandStarted(where=where):
            return "run here, " if where == "here" else ""
        case OperatorCommandFinished(exit_status=status, error=error):
            return error or (
                f"exit status {status}" if status is not None else "its exit status is not known"
            )
    return ""


def describe_duration(event: Timed | StepDone, *, as_clock: bool = False) -> str:
    """Return how long work took, as `format_worked` does; the first part as a clock shows it on request."""
    return format_worked(event.duration_s, event.answer_wait_s, format_clock if as_clock else format_duration)


def format_worked(
    duration_s: float, answer_wait_s: float, form: Callable[[float], str] = format_duration
) -> str:
    """Format a duration without its waits for answers: `7:12 (plus 3:21 waiting for an answer)`."""
    if answer_wait_s < MIN_ANSWER_WAIT_S:
        return form(duration_s)
    return f"{form(duration_s - answer_wait_s)} (plus {format_duration(answer_wait_s)} waiting for an answer)"


def list_details(event: AnyEvent) -> list[str]:
    """Return the lines below the sentence: the output of a service, or servers as they read now."""
    match event:
        case events.ServiceLog(lines=lines):
            return list(lines)
        case events.ManualChangeFinished(servers=servers):
            return list(servers)
        case OperatorCommandFinished(output=output):
            return list(output)
    return []


def _format_field(name: str, value: object) -> str:
    if name.endswith("_s") and isinstance(value, int | float):
        return format_duration(value)
    return fold_names(map(str, value)) if isinstance(value, list) else str(value)


def describe_choice(choice: str, *, touched: bool = False, version: str = "") -> str:
    """Describe a choice of a decision about a node.

    Args:
        choice: one of the answers.
        touched: whether the node is out of rotation now.
        version: the one that "back" leads to.
    """
    match choice:
        case "retry":
            return "try it again"
        case "back":
            return f"back to {version or 'its last healthy version'}, this node only"
        case "skip":
            return f"leave it {'out' if touched else 'as it is'}, next node"
        case "abort":
            return "end the rollout"
    return choice


def describe_remaining_time(duration: str, *, baking: bool) -> str:
    """Describe the time until a deadline; a bake simply ends then."""
    return f"{duration} left" if baking else f"timeout in {duration}"


def format_health(server: Server) -> str:
    """Describe the operational state of a server, never mixed with its administrative state."""
    if server.admin_state is AdminState.MAINT:
        return "-"  # nothing checks it
    if not server.has_checks and not server.track_target:
        return "no check"
    if server.in_rotation or server.checks_passed:
        return "▲ up"
    if server.throttle is not None:
        return f"△ slow start {server.throttle} %"
    if server.status.startswith(("UP", "DRAIN", "NOLB")):
        return f"△ {server.check_health}/{server.full_health} {server.check_status}".rstrip()
    return f"▼ {server.check_status or server.status}"


def describe_server(server: Server) -> str:
    """Describe the states of a server, as it was read back: `web1 on lb1: ready ▲ up`."""
    return f"{server.ref.server} on {server.ref.instance}: {server.admin_state} {format_health(server)}"


def describe_bake(baked: Baked) -> str:
    """Describe what a bake has proven: `baked with 120 requests, no errors, 3 not attributable`."""
    return _describe_baked(baked) + (
        f", {baked.unattributed:,} not attributable" if baked.unattributed else ""
    )


def _describe_baked(baked: Baked) -> str:
    if baked.errors is None and baked.requests:
        refused = f", {baked.refused:,} refused" if baked.refused else ""
        return f"baked with {counted(baked.requests, 'session')}{refused}: errors unknown in TCP mode"
    found = f"baked with {counted(baked.requests, 'request' if baked.errors is not None else 'session')}"
    if baked.errors:
        return f"{found}, {counted(baked.errors, 'error')}"
    if baked.requests < MIN_REQUESTS:
        few = f", fewer than {MIN_REQUESTS}" if baked.requests else ""
        return f"{found}{few}: nothing proven"
    return f"{found}, no errors"


def traffic_text(traffic: Traffic) -> str:
    """Describe the traffic of a rollout: `1,204 requests, 3 errors, 2 not attributable`."""
    unknown = ", ".join(traffic.unknown)
    if traffic.errors is not None:
        errors = counted(traffic.errors, "error")
        errors += f", errors unknown in TCP mode: {unknown}" if unknown else ""
    else:
        errors = (
            f"errors unknown in TCP mode: {unknown}"
            if unknown
            else f"{counted(traffic.errors_5xx, 'error')} (5xx only)"
        )
    parts = [counted(traffic.served, "request"), errors]
    parts += [f"{traffic.unattributed:,} not attributable"] if traffic.unattributed else []
    if traffic.gaps:
        parts.append("without the time before counters were reset")
    return ", ".join(parts)


def strip_result(result: str, reason: str) -> str:
    """Return a reason without the result that it may begin with: `by ann` of `aborted by ann`."""
    return reason.removeprefix(result).strip()


def format_reason(result: str, reason: str) -> str:
    """Return what follows the word for a result: ` by ann: lunch`, `: failed: web2`, or nothing."""
    if not reason or reason == result:
        return ""
    return f" {strip_result(result, reason)}" if reason.startswith(result) else f": {reason}"


def describe_mixed_versions(versions: Mapping[str, str]) -> str:
    """Return `1.4.2 on web2, web3; 1.5.0 on web1`; nothing when all have the same version."""
    nodes: dict[str, list[str]] = {}
    for name, version in versions.items():
        nodes.setdefault(version, []).append(name)
    if len(nodes) < 2:
        return ""
    return "; ".join(f"{version} on {fold_names(names)}" for version, names in sorted(nodes.items()))


class RepeatedEvents:
    """Detects an event that only repeats what was said: a `Waiting` its words, a verdict its state."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], str] = {}
        self._verdicts = RepeatedVerdicts()

    def has(self, event: AnyEvent) -> bool:
        """Return whether this event is a repetition; it must be called with every event, in order."""
        if isinstance(event, Waiting):
            key = (event.node, event.step)
            if self._reasons.get(key) == event.words:
                return True
            self._reasons[key] = event.words
        elif isinstance(event, StepStarted):
            self._reasons.pop((event.node, event.step), None)
        elif isinstance(event, events.RolloutStarted):
            self._verdicts = RepeatedVerdicts()
        return self._verdicts.has(event)
