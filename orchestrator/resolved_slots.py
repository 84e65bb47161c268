"""Server slots that name resolution fills: a node that stops may lose its slot, and come back in another one.

Measured on HAProxy 2.2 to 3.2 with SRV records: when a record is gone its slot is emptied and reads "MAINT
(resolution)"; when it is back, the first free slot (2.2) or the next one (from 2.6 on) is filled, and is UP
before anybody has proven it. With `hold obsolete` in the section `resolvers` a slot is kept for that long.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from backends.errors import BackendError
from backends.model import Server, ServerRef, Snapshot
from orchestrator.facts import Facts
from orchestrator.plan import Finding, Severity
from orchestrator.policy import Policy


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
