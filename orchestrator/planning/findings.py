"""Findings of preflight, and those about load balancers (level, persistence, slots) and freeze windows."""

import asyncio
import enum
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backends.errors import BackendError
from backends.model import NEEDS_ADMIN, Backend, Level, Persistence, Server, ServerRef, Snapshot
from backends.name_ranges import Own, fold_set
from backends.protocols import LoadBalancer, LoadBalancerFacts
from orchestrator.errors import Refusal
from orchestrator.events.actor import Actor
from orchestrator.events.events import FreezeOverridden
from orchestrator.planning.application import Freeze, Policy, find_freeze

Facts = LoadBalancerFacts | BackendError
"""The facts of one load balancer, or why its configuration could not be read."""

FREEZE_SUBJECT = "freeze"


class PreflightFailed(Refusal):
    """Nothing was touched; `findings` say why."""

    def __init__(self, findings: "tuple[Finding, ...]") -> None:
        self.findings = findings
        folded = fold_findings(findings)
        super().__init__("; ".join(f"{finding.subject}: {finding.text}" for finding in folded))


class Severity(enum.StrEnum):
    """What a finding means for the plan."""

    ERROR = "error"  # nothing will be touched
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that preflight found.

    Attributes:
        severity: what it means for the plan.
        subject: the node, server, backend or load balancer; of folded findings, all of them.
        text: what was found.
        own: the beginning and the end of each part of the text that is the subject's `Own`.
    """

    severity: Severity
    subject: str
    text: str
    own: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, severity: Severity, subject: str, *parts: str) -> "Finding":
        """Return a finding with this text, in which some parts are `Own`."""
        text, own = "", []
        for part in parts:
            if isinstance(part, Own):
                own.append((len(text), len(text) + len(part)))
            text += part
        return cls(severity, subject, text, tuple(own))

    def to_fields(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        if not self.own:
            del fields["own"]
        return fields

    def split(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the parts of the text that others may have, too, and the own ones between them."""
        ends = [0, *(end for _, end in self.own)]
        begins = [*(begin for begin, _ in self.own), len(self.text)]
        shared = tuple(self.text[end:begin] for end, begin in zip(ends, begins, strict=True))
        return shared, tuple(self.text[begin:end] for begin, end in self.own)


SEVERITY_GLYPHS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "·"}


def fold_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, errors first, those with the same text as one, with all subjects.

    Names are folded, also within a text that differs in its own parts: `web[001-400]: port [8001-8400] cannot
    be checked`. Nothing is left out.
    """
    groups: dict[tuple[Severity, tuple[str, ...]], tuple[list[str], list[tuple[str, ...]]]] = {}
    for finding in sorted(findings, key=lambda finding: list(Severity).index(finding.severity)):
        shared, own = finding.split()
        subjects, parts = groups.setdefault((finding.severity, shared), ([], []))
        subjects.append(finding.subject)
        parts.append(own)
    folded = []
    for (severity, shared), (subjects, parts) in groups.items():
        own = (*(Own(fold_set(values)) for values in zip(*parts, strict=True)), "")
        pieces = (piece for pair in zip(shared, own, strict=True) for piece in pair)
        folded.append(Finding.of(severity, fold_set(subjects), *pieces))
    return folded


def why_unchangeable(level: Level, read_only: str) -> str:
    """Return why a load balancer takes no changes, and what would help; empty where it does.

    Args:
        level: the level of the socket.
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
    """Return an error where states cannot be changed, else nothing."""
    why = why_unchangeable(snapshot.level, snapshot.read_only)
    return [Finding(Severity.ERROR, snapshot.info.instance, why)] if why else []


def judge_persistence(snapshot: Snapshot, facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Warn where clients stay with their server because of persistence.

    Args:
        snapshot: has the name of the cookie of each backend, from level operator on.
        facts: what the configuration file says, or why it could not be read.
        policy: the policy of the rollout.
    """
    for backend in snapshot.backends:
        where = f"{backend.name} on {snapshot.info.instance}"
        if isinstance(facts, BackendError):
            text = _describe_unknown(backend, facts.problem, policy)
        elif facts.persistence is None:
            text = _describe_unknown(backend, facts.unseen, policy)
        else:
            text = _describe_known(backend, facts.persistence.get(backend.name), policy)
        if text:
            yield Finding(Severity.WARNING, where, text)


def find_persistent_backends(
    snapshots: Mapping[str, Snapshot], facts: Mapping[str, Facts]
) -> frozenset[tuple[str, str]]:
    """Return the load balancer and name of each backend whose clients stay with their server."""
    found = set()
    for name, snapshot in snapshots.items():
        known = facts.get(name)
        by_file = {} if known is None or isinstance(known, BackendError) else known.persistence or {}
        found |= {
            (name, backend.name) for backend in snapshot.backends if backend.cookie or backend.name in by_file
        }
    return frozenset(found)


def _describe_unknown(backend: Backend, why: str, policy: Policy) -> str:
    if not backend.cookie:
        return ""
    return (
        f"{_format_cookie(backend)}: {_format_draining(policy)}, then maintenance moves them,"
        f" unless `option persist` or `force-persist` is set, which is unknown: {why}"
    )


def _describe_known(backend: Backend, persistence: Persistence | None, policy: Policy) -> str:
    if persistence is None:
        # The socket has a cookie that the file does not have: the file has changed since it was read.
        return _describe_unknown(backend, "the configuration file does not have this cookie", policy)
    by = [kind for kind in persistence.by if not (backend.cookie and kind.startswith("cookie"))]
    named = " and ".join([*([_format_cookie(backend)] if backend.cookie else []), *by])
    what = named if by == [] else f"persistence by {named}"
    if not persistence.in_maintenance:
        return f"{what}: {_format_draining(policy)}, then maintenance moves them"
    which = "" if persistence.in_maintenance == "option persist" else " that it matches"
    return (
        f"{what} with `{persistence.in_maintenance}`: its clients{which} reach a node in maintenance too, so"
        " their requests fail while it is stopped, and come to the new version before it is proven;"
        f" take `{persistence.in_maintenance}` out of HAProxy's configuration first"
    )


def _format_cookie(backend: Backend) -> str:
    return f'cookie persistence ("{backend.cookie}")'


def _format_draining(policy: Policy) -> str:
    return f"its clients reach a draining node until drain_timeout ({policy.drain_timeout:g} s)"


async def read_facts(balancers: Mapping[str, LoadBalancer]) -> dict[str, Facts]:
    """Read the facts of all load balancers in parallel, by name."""
    found = await asyncio.gather(*map(_read, balancers.values()))
    return dict(zip(balancers, found, strict=True))


async def _read(balancer: LoadBalancer) -> Facts:
    try:
        return await balancer.facts()
    except BackendError as error:
        return error


def compute_longest_stop_s(policy: Policy) -> float:
    """Return how long a node's service may be down during its rollout at most, in seconds."""
    return policy.stop_timeout + policy.install_timeout + policy.start_timeout + policy.verify_timeout


def judge_slots(
    snapshot: Snapshot,
    facts: Facts,
    refs: Collection[ServerRef],
    policy: Policy,
) -> Iterator[Finding]:
    """Refuse where a slot could be emptied in the middle of its node's rollout.

    Args:
        snapshot: the snapshot of one load balancer.
        facts: what its configuration file says, or why it could not be read.
        refs: the servers of the nodes to be worked on.
        policy: the policy of the rollout.
    """
    slots: dict[str, str] = {}
    for server, source in _find_slots(snapshot.servers, refs):
        slots.setdefault(server.ref.backend, source)
    needed_s = compute_longest_stop_s(policy)
    for backend, source in slots.items():
        problem = _describe_hold(backend, facts, needed_s, snapshot.info.instance)
        if problem:
            text = (
                f"name resolution fills its servers ({source}): when a service stops and its record goes,"
                " HAProxy empties the slot, and may fill another one, UP and unproven, once the service is"
                f" back. Set `hold obsolete {needed_s:.0f}s` in the section `resolvers` of HAProxy's"
                " configuration:"
                " a node's service may be stopped for that long (stop, install, start and verify)."
                f" {problem}"
            )
            yield Finding(Severity.ERROR, f"{backend} on {snapshot.info.instance}", text)


def _find_slots(servers: Iterable[Server], refs: Collection[ServerRef]) -> Iterator[tuple[Server, str]]:
    """Yield those of these servers that are slots, and what fills them.

    A single server with a host name is no slot, whatever addresses the name has; but several servers of one
    backend with the same name and port are slots for its addresses.
    """
    named = [server for server in servers if server.srv_record or server.host_name]
    alike = Counter(_resolved_endpoint(server) for server in named)
    for server in named:
        if server.ref not in refs:
            continue
        if server.srv_record:
            yield server, f"SRV record {server.srv_record}"
        elif alike[_resolved_endpoint(server)] > 1:
            yield server, f"addresses of {server.host_name}"


def _resolved_endpoint(server: Server) -> tuple[str, str, int]:
    return server.ref.backend, server.host_name, server.port


def _describe_hold(backend: str, facts: Facts, needed_s: float, instance: str) -> str:
    """Return why a slot may be emptied too early; empty when it is not."""
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
    """Judge whether a rollout may start at this moment.

    Args:
        freezes: the freeze windows.
        at: the moment, in seconds since 1970.
        severity: an error refuses the rollout; a repair, such as a rollback, only gets a warning.
    """
    found = find_freeze(freezes, at)
    if found is None:
        return []
    hint = "; --override-freeze starts anyway" if severity is Severity.ERROR else ""
    return [Finding(severity, FREEZE_SUBJECT, found.text(at) + hint)]


def overridden_freezes(findings: Iterable[Finding], operator: Actor) -> Iterator[FreezeOverridden]:
    """Yield an event for each freeze window in spite of which a rollout starts."""
    for finding in findings:
        if finding.subject == FREEZE_SUBJECT and finding.severity is Severity.WARNING:
            yield FreezeOverridden(operator=operator.name, reason=finding.text, **operator.origin)
