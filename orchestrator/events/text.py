"""Events, servers, requests and the end of a rollout in words; the same wherever they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from backends.model import AdminState, Server
from backends.text import UNKNOWN_TIME, counted, format_duration, format_local_time
from orchestrator.balancers.request_errors import MIN_REQUESTS
from orchestrator.events import events
from orchestrator.events.actor import requested_with
from orchestrator.events.events import AnyEvent, Baked, StepStarted, Traffic, Waiting
from orchestrator.events.ways_back import OutOfRotation, ways_back

_SENTENCES: dict[type[events.Event], str] = {
    events.RolloutStarted: "{operator} starts {application} → {version} on {nodes}",
    events.FreezeOverridden: "{operator} overrides the freeze: {reason}",
    events.LockTaken: "{operator} acquired the shared lock (fencing token {fence})",
    events.Prefetched: "prefetched on all nodes in {duration_s}",
    events.BatchStarted: "batch {number}: {nodes}",
    events.NodeStarted: "target version {version}",
    events.StepStarted: "started",
    events.Waiting: "waiting, {remaining}: {reason}",
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
    events.Traffic: "{words}, in {duration_s}",
    events.HookFired: "hook {name} at {moment}, {duration_s}: {error}",
    events.ManualChangeStarted: "manual change by {operator}: {action} {nodes}{words}",
    events.ManualChangeFinished: "the manual change {words}: {error}",
    events.Unreadable: "unknown event {kind!r}, which cannot be read: {problem}",
    events.RollbackStarted: "rolling back {nodes} (on_failure = {policy})",
    events.RollbackRefused: "the rollback was refused: {reason}",
    events.RolloutEnded: "ended {result} in {duration_s}: {reason}",
}
"""All but commands, which stand for themselves. `words` and `remaining` are made from several fields."""


def describe(event: AnyEvent) -> str:
    """One event as a sentence, without its node and step; what stands below it is `details`.

    Values are as they came: the reader makes them harmless. Of a command all fields are given.
    """
    fields = {name: _field_text(name, getattr(event, name)) for name in event.__struct_fields__}
    if isinstance(event, events.ByActor):
        for name in ("who", "operator"):
            fields[name] = requested_with(fields.get(name, ""), event.origin)
    match event:
        case Traffic():
            fields["words"] = traffic_text(event)
        case Baked():
            fields["words"] = bake_text(event)
        case Waiting():
            fields["remaining"] = remaining_text(fields["remaining_s"], baking=event.baking)
        case events.ManualChangeStarted(action=action, weight=weight, override=override):
            to = f" to {weight}" if action == "weight" else ""
            fields["words"] = to + (f"; below the floor for {', '.join(override)}" if override else "")
        case events.ManualChangeFinished(error=error):
            fields["words"] = "failed" if error else "was done"
    sentence = _SENTENCES.get(type(event))
    # Only our own words are a format; what comes from outside is a value, in which braces mean nothing.
    if sentence is not None:
        return sentence.format(**fields).removesuffix(": ")
    return "   ".join(filter(None, fields.values()))


def details(event: AnyEvent) -> list[str]:
    """What stands in lines of its own below the sentence: a service's output, servers as they read now."""
    match event:
        case events.ServiceLog(lines=lines):
            return list(lines)
        case events.ManualChangeFinished(servers=servers):
            return list(servers)
    return []


def _field_text(name: str, value: object) -> str:
    if name.endswith("_s") and isinstance(value, int | float):
        return format_duration(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def choice_text(choice: str, *, touched: bool = False) -> str:
    """What a choice of a decision means, for the node concerned; `touched`: it is out of rotation now."""
    match choice:
        case "retry":
            return "try it again"
        case "skip":
            return f"leave it {'out' if touched else 'as it is'}, next node"
        case "abort":
            return "end the rollout"
    return choice


def remaining_text(duration: str, *, baking: bool) -> str:
    """What is left until a deadline; a bake just ends then."""
    return f"{duration} left" if baking else f"timeout in {duration}"


def format_health(server: Server) -> str:
    """The operational axis in words, never mixed with what somebody decided."""
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


def bake_text(baked: Baked) -> str:
    """What a bake has proven: `baked with 120 requests, no errors, 3 not attributable`."""
    return _baked(baked) + (f", {baked.unattributed:,} not attributable" if baked.unattributed else "")


def _baked(baked: Baked) -> str:
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
    """What clients were given: `1,204 requests, 3 errors, 2 not attributable`."""
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


WAY_ON_LABELS = {"resume": "to finish it:", "rollback": "to roll back:"}


@dataclass(frozen=True, slots=True)
class WayLine:
    """One line about how a node gets back.

    Attributes:
        kind: "refused" says why `rolldeck ready` would do nothing now, "rolldeck" is a command of ours,
            "heading" stands above the commands that are typed by hand, "by_hand" is one of these.
        label: stands before the text; those of our commands end in one column.
        text: a command, or a reason; it is not cleaned.
    """

    kind: Literal["refused", "rolldeck", "heading", "by_hand"]
    label: str
    text: str = ""


def way_lines(out: OutOfRotation, *, blocked: bool = False) -> list[WayLine]:
    """What puts a node back, in the order in which it is to be tried.

    Args:
        out: the node.
        blocked: no command of Rolldeck works now, as without a journal: only those by hand can be done.
    """
    ways = ways_back(out)
    then = "once that is fixed, " if blocked else ""
    ready = [WayLine("rolldeck", f"{then}put back in rotation:", command) for command in ways.own]
    rollback = [WayLine("rolldeck", f"{then}roll back this node: ", out.rollback_command)]
    rollback = rollback if out.rollback_command else []
    if out.not_ready:
        own = [WayLine("refused", "`ready` would refuse it now:", out.not_ready), *rollback, *ready]
    else:
        own = [*ready, *rollback]
    by_hand = [WayLine("by_hand", "on", command) for command in ways.by_hand]
    if by_hand:
        wait = "; before ready, wait until it reads DRAIN with full health" if ways.awaits_health else ""
        by_hand.insert(0, WayLine("heading", f"manual commands, in order{wait}:"))
    return [*by_hand, *own] if blocked else [*own, *by_hand]


def reason_without_result(result: str, reason: str) -> str:
    """A reason to be put behind a result that it may begin with: `by ann` of `aborted by ann`."""
    return reason.removeprefix(result).strip()


def reason_beside(result: str, reason: str) -> str:
    """What follows the word for a result: ` by ann: lunch`, or `: failed: web2`; empty without a reason."""
    if not reason or reason == result:
        return ""
    return f" {reason_without_result(result, reason)}" if reason.startswith(result) else f": {reason}"


def mixed_versions_text(versions: Mapping[str, str]) -> str:
    """`1.4.2 on web2, web3; 1.5.0 on web1`; empty when all have the same one."""
    nodes: dict[str, list[str]] = {}
    for name, version in versions.items():
        nodes.setdefault(version, []).append(name)
    if len(nodes) < 2:
        return ""
    return "; ".join(f"{version} on {', '.join(names)}" for version, names in sorted(nodes.items()))


def intention_text(out: OutOfRotation) -> str:
    """Why somebody wants it to be out; empty where nobody does."""
    if out.by_others:
        return f"kept out by {others_text(by_agent=out.by_agent)}{since_text(out.since)}, untouched"
    return "as it was before" if out.intentional else ""


def others_text(*, by_agent: bool) -> str:
    """Who it was when it was not us. HAProxy does not tell an operator from an agent check."""
    return "somebody else, or its agent check," if by_agent else "somebody else"


def since_text(at: float) -> str:
    """` since 14:05:12`, with the day where that is not today; empty for 0."""
    if not at:
        return ""
    same_day = format_local_time(at, "%Y-%m-%d") == format_local_time(_now(), "%Y-%m-%d")
    moment = format_local_time(at, "%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")
    return "" if moment == UNKNOWN_TIME else f" since {moment}"


def _now() -> float:
    return datetime.now(UTC).timestamp()


class RepeatedWaits:
    """Knows a `Waiting` that only repeats its reason."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}

    def has(self, event: AnyEvent) -> bool:
        """Whether this one is left out; every event must be shown to it, in order."""
        if isinstance(event, Waiting):
            key = (event.node, event.step)
            if self._told.get(key) == event.reason:
                return True
            self._told[key] = event.reason
        elif isinstance(event, StepStarted):
            self._told.pop((event.node, event.step), None)
        return False
