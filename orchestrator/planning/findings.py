"""What a finding is, and the findings about load balancers (level, persistence, slots) and freeze windows."""

import asyncio
import enum
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.errors import BackendError, RolldeckError
from backends.model import NEEDS_ADMIN, Backend, Level, Persistence, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer, LoadBalancerFacts
from orchestrator.events.actor import Actor
from orchestrator.events.events import FreezeOverridden
from orchestrator.planning.application import Freeze, Policy, frozen

Facts = LoadBalancerFacts | BackendError
"""Of one load balancer, or why its configuration could not be looked at."""

FREEZE_SUBJECT = "freeze"


class PreflightFailed(RolldeckError):
    """Nothing was touched; `findings` say why."""

    def __init__(self, findings: "tuple[Finding, ...]") -> None:
        self.findings = findings
        super().__init__("; ".join(f"{finding.subject}: {finding.text}" for finding in findings))


class Severity(enum.StrEnum):
    """What a finding means for the plan."""

    ERROR = "error"  # nothing will be touched
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that preflight saw."""

    severity: Severity
    subject: str  # the node, server, backend or load balancer
    text: str


SEVERITY_GLYPHS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "·"}


def group_findings(findings: Sequence[Finding]) -> dict[tuple[Severity, str], list[str]]:
    """Who each text is about, errors first: the same text about several subjects is said once."""
    groups: dict[tuple[Severity, str], list[str]] = {}
    for finding in sorted(findings, key=lambda finding: list(Severity).index(finding.severity)):
        subjects = groups.setdefault((finding.severity, finding.text), [])
        if finding.subject not in subjects:
            subjects.append(finding.subject)
    return groups


def why_unchangeable(level: Level, read_only: str) -> str:
    """Why nothing can be changed through it, and what would make that possible; empty where it can.

    Args:
        level: of the socket.
        read_only: see `Snapshot.read_only`.
    """
    if read_only:
        return (
            f"is {read_only}, which can only be read: states are changed by HAProxy's Runtime API (`socket`"
            " instead of `stats_url`, with `level admin` at its `stats socket` in haproxy.cfg)"
        )
    if level is not Level.ADMIN:
        return f"the socket has level {level.name.lower()}; {NEEDS_ADMIN}"
    return ""


def judge_level(snapshot: Snapshot) -> list[Finding]:
    """An error where states cannot be changed."""
    why = why_unchangeable(snapshot.level, snapshot.read_only)
    return [Finding(Severity.ERROR, snapshot.info.instance, why)] if why else []


def judge_persistence(snapshot: Snapshot, facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Warn where clients stay with their server.

    Args:
        snapshot: has the name of each backend's cookie, from level operator on.
        facts: of the configuration file, or why it could not be looked at.
        policy: of the rollout.
    """
    for backend in snapshot.backends:
        where = f"{backend.name} on {snapshot.info.instance}"
        if isinstance(facts, BackendError):
            text = _unknown(backend, facts.problem, policy)
        elif facts.persistence is None:
            text = _unknown(backend, facts.unseen, policy)
        else:
            text = _known(backend, facts.persistence.get(backend.name), policy)
        if text:
            yield Finding(Severity.WARNING, where, text)


def _unknown(backend: Backend, why: str, policy: Policy) -> str:
    if not backend.cookie:
        return ""
    return (
        f"{_cookie(backend)}: {_draining(policy)}, then maintenance moves them, unless `option persist` or"
        f" `force-persist` is set, which is unknown: {why}"
    )


def _known(backend: Backend, persistence: Persistence | None, policy: Policy) -> str:
    if persistence is None:
        # The socket knows of a cookie that the file has not: the file has changed since it was read.
        return _unknown(backend, "the configuration file does not have this cookie", policy)
    by = [kind for kind in persistence.by if not (backend.cookie and kind.startswith("cookie"))]
    named = " and ".join([*([_cookie(backend)] if backend.cookie else []), *by])
    what = named if by == [] else f"persistence by {named}"
    if not persistence.in_maintenance:
        return f"{what}: {_draining(policy)}, then maintenance moves them"
    which = "" if persistence.in_maintenance == "option persist" else " that it matches"
    return (
        f"{what} with `{persistence.in_maintenance}`: its clients{which} reach a node in maintenance too, so"
        " their requests fail while it is stopped, and come to the new version before it is proven;"
        f" take `{persistence.in_maintenance}` out of HAProxy's configuration first"
    )


def _cookie(backend: Backend) -> str:
    return f'cookie persistence ("{backend.cookie}")'


def _draining(policy: Policy) -> str:
    return f"its clients reach a draining node until drain_timeout ({policy.drain_timeout:g} s)"


async def read_facts(balancers: Mapping[str, LoadBalancer]) -> dict[str, Facts]:
    """Look at all of them, side by side; by name."""
    found = await asyncio.gather(*map(_read, balancers.values()))
    return dict(zip(balancers, found, strict=True))


async def _read(balancer: LoadBalancer) -> Facts:
    try:
        return await balancer.facts()
    except BackendError as error:
        return error


def longest_absence_s(policy: Policy) -> float:
    """How long a node's service may be down in one turn at most, in seconds."""
    return policy.stop_timeout + policy.install_timeout + policy.start_timeout + policy.verify_timeout


def judge_slots(
    snapshot: Snapshot,
    facts: Facts,
    refs: Collection[ServerRef],
    policy: Policy,
) -> Iterator[Finding]:
    """Refuse where a slot could be emptied in the middle of its node's turn.

    Args:
        snapshot: of one load balancer.
        facts: of its configuration file, or why it could not be looked at.
        refs: the servers of the nodes to be worked on.
        policy: of the rollout.
    """
    slots: dict[str, str] = {}
    for server, source in _slots(snapshot.servers, refs):
        slots.setdefault(server.ref.backend, source)
    needed_s = longest_absence_s(policy)
    for backend, source in slots.items():
        problem = _not_held(backend, facts, needed_s, snapshot.info.instance)
        if problem:
            text = (
                f"name resolution fills its servers ({source}): when a service stops and its record goes,"
                " HAProxy empties the slot, and fills perhaps another one, UP and unproven, when it is back."
                f" Set `hold obsolete {needed_s:.0f}s` in the section `resolvers` of HAProxy's configuration:"
                f" so long a node's service may be stopped (stop, install, start and verify). {problem}"
            )
            yield Finding(Severity.ERROR, f"{backend} on {snapshot.info.instance}", text)


def _slots(servers: Iterable[Server], refs: Collection[ServerRef]) -> Iterator[tuple[Server, str]]:
    """Those of these servers that are slots, and by what they are filled.

    A host name alone belongs to its server, whatever its addresses; but several servers of one backend with
    the same name and port are slots for the addresses of that name.
    """
    named = [server for server in servers if server.srv_record or server.host_name]
    alike = Counter(_place(server) for server in named)
    for server in named:
        if server.ref not in refs:
            continue
        if server.srv_record:
            yield server, f"SRV record {server.srv_record}"
        elif alike[_place(server)] > 1:
            yield server, f"addresses of {server.host_name}"


def _place(server: Server) -> tuple[str, str, int]:
    return server.ref.backend, server.host_name, server.port


def _not_held(backend: str, facts: Facts, needed_s: float, instance: str) -> str:
    """Why a slot may be emptied too early; empty when it is not."""
    known = None if isinstance(facts, BackendError) else facts.hold_obsolete_s
    if known is None:
        why = facts.problem if isinstance(facts, BackendError) else facts.unseen
        return f"What is set now is unknown: {why} (`config_file` of [haproxy.{instance}] names the file)"
    if backend not in known:
        return ""  # the names are resolved once, when HAProxy starts
    if known[backend] >= needed_s:
        return ""
    return f"It is {known[backend]:g} s now"


def judge_freeze(freezes: Sequence[Freeze], at: float, severity: Severity) -> list[Finding]:
    """What preflight says of this moment.

    Args:
        freezes: the windows.
        at: seconds since 1970.
        severity: an error refuses the rollout; what repairs, such as a rollback, is only warned.
    """
    found = frozen(freezes, at)
    if found is None:
        return []
    hint = "; --override-freeze starts anyway" if severity is Severity.ERROR else ""
    return [Finding(severity, FREEZE_SUBJECT, found.words(at) + hint)]


def overridden(findings: Iterable[Finding], operator: Actor) -> Iterator[FreezeOverridden]:
    """The events that keep in mind that a rollout is begun in spite of a freeze."""
    for finding in findings:
        if finding.subject == FREEZE_SUBJECT and finding.severity is Severity.WARNING:
            yield FreezeOverridden(operator=operator.name, reason=finding.text, **operator.origin)
