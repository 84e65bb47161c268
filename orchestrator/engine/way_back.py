"""The way back of one failed node, on request of an operator, to the last version that was healthy on it."""

import asyncio
from dataclasses import replace

import msgspec

from backends.errors import RolldeckError
from backends.node_state import Presence
from backends.text import last_lines
from orchestrator.engine.load_guard import LoadGuard
from orchestrator.engine.no_judgement import NoJudgement
from orchestrator.engine.result import Progress
from orchestrator.engine.rollout_context import RolloutCallbacks
from orchestrator.engine.step_context import StepContext
from orchestrator.events.events import ServiceLog
from orchestrator.events.steps import Step
from orchestrator.planning.application import WITHOUT_TRIAL

AVAILABILITY_TIMEOUT_S = 10.0  # for a node to say whether it can have its previous version
LOG_TIMEOUT_S = 5.0  # for its service manager to return its last output
SERVERS_TIMEOUT_S = 0.5  # for HAProxy, as a failed node must leave rotation soon


class JudgementOnReturn(NoJudgement):
    """The judgement on the target version for a node that gets another one: it objects to nothing."""

    def __init__(self, whole: NoJudgement) -> None:
        super().__init__()
        self._whole = whole

    def returns(self, node: str, version: str | None) -> None:
        self._whole.returns(node, version)

    def leaves(self, node: str) -> None:
        self._whole.leaves(node)


def lead_back(context: StepContext, version: str) -> StepContext:
    """Return the step context of a node that goes back to an earlier version.

    As in a rollback, there is no ramp and no bake, and no trial of its drain. All other checks stay.
    """
    return replace(
        context,
        wanted=version,
        stops=True,
        stop_sent=True,  # by the update that failed: it cannot be put back as untouched
        policy=msgspec.structs.replace(context.policy, **WITHOUT_TRIAL),
        judgement=JudgementOnReturn(context.judgement),
        load_guard=LoadGuard(),
        ramped=frozenset(),
        resumes_drain=False,
        baked=None,
        is_return=True,
    )


def lead_forward(context: StepContext, before: StepContext) -> StepContext:
    """Return the step context for another attempt with the target version, which `before` had."""
    return replace(
        context,
        wanted=before.wanted,
        policy=before.policy,
        judgement=before.judgement,
        load_guard=before.load_guard,
        ramped=before.ramped,
        baked=None,
        is_return=False,
    )


async def find_version(context: StepContext, progress: Progress, callbacks: RolloutCallbacks) -> str:
    """Return the version to which a failed node can go back; empty when none is known and available.

    Why the one that is known cannot be installed is noted.
    """
    name = context.node.name
    if progress.kind == "rollback" or name not in progress.touched or name in progress.put_back:
        return ""
    try:
        version = await callbacks.last_healthy(name)
        if not version:
            return ""
        async with asyncio.timeout(AVAILABILITY_TIMEOUT_S):
            found = await context.node.installer.check_availability(version)
    except TimeoutError:
        return version  # it may answer until an operator has decided
    except RolldeckError as error:
        context.note(f"cannot be brought back to an earlier version: {error.beside(name)}")
        return ""
    if found.presence is Presence.NOT_THERE:
        context.note(f"cannot be brought back to {version}: {found.detail}")
        return ""
    return version


async def read_servers(context: StepContext) -> list[str]:
    """Return the node's servers as HAProxy reports them now, in words; those that can be read at once."""
    try:
        async with asyncio.timeout(SERVERS_TIMEOUT_S):
            servers = (await context.servers()).values()
    except (TimeoutError, RolldeckError):
        return []
    found: dict[str, list[str]] = {}
    for server in servers:
        checked = server.has_checks and not server.status.startswith("MAINT")  # nothing checks it then
        health = f" {server.check_health}/{server.full_health}" if checked else ""
        check = f" {server.check_status}" if checked and server.check_status else ""
        places = found.setdefault(f"{server.status}{health}{check}", [])
        if server.ref.instance not in places:
            places.append(server.ref.instance)
    return [f"{text} on {', '.join(places)}" for text, places in found.items()]


async def show_log(context: StepContext, step: Step) -> None:
    """Emit the last output of the service; that it cannot be read is no failure of its own."""
    try:
        async with asyncio.timeout(LOG_TIMEOUT_S):
            found = await context.node.service.last_lines()
    except (TimeoutError, RolldeckError):
        return
    if lines := last_lines("\n".join(found)):
        context.bus.emit(ServiceLog(node=context.node.name, step=step, lines=list(lines)))
