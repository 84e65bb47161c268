"""Which servers get their weight back in stages, and where a ramp would limit nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from backends.errors import BackendError
from backends.model import Server, Snapshot
from backends.name_ranges import fold_names
from orchestrator.node import OriginalState
from orchestrator.planning.application import Policy
from orchestrator.planning.findings import Facts, Finding, Severity
from orchestrator.planning.plan import PlannedNode
from orchestrator.planning.ramp import (
    STAGE_DURATION_S,
    STAGE_REQUESTS,
    explain_algorithm,
    explain_weight,
    find_servers_on_return,
    format_stages,
)
from orchestrator.preflight.batches import Batches


class RampPlanner:
    """Decides for each node which of its servers return on a ramp, and why others do not."""

    def __init__(self, policy: Policy, snapshots: Mapping[str, Snapshot], facts: Mapping[str, Facts]) -> None:
        self._policy = policy
        self._algorithms = {
            (name, backend.name): backend.algorithm
            for name, snapshot in snapshots.items()
            for backend in snapshot.backends
        }
        self._facts = facts
        self._peers = Counter(
            (server.ref.instance, server.ref.backend, server.backup)
            for snapshot in (snapshots.values() if policy.ramp else ())
            for server in snapshot.servers
        )
        self._findings: dict[Finding, None] = {}

    def plan(self, node: PlannedNode, servers: Sequence[Server]) -> PlannedNode:
        """Return the node with those of its servers that return on a ramp.

        Args:
            node: the node, with its steps.
            servers: its servers as they are now.
        """
        if not self._policy.ramp or "verify" not in node.steps:
            return node
        returning = find_servers_on_return(node.originals)
        reasons = {
            server.ref: self._explain(server, node.originals[server.ref])
            for server in servers
            if server.ref in returning
        }
        ramped = tuple(ref for ref, (_, reason) in reasons.items() if not reason)
        for subject, reason in reasons.values():
            if reason and ramped:
                text = f"`ramp` limits nothing here: {reason}. The node returns here with its last stage"
                self._findings[Finding(Severity.WARNING, subject, text)] = None
            elif reason:
                self._findings[Finding(Severity.ERROR, subject, f"`ramp` limits nothing: {reason}")] = None
        return replace(node, ramped=ramped)

    def findings(self, application: str, batches: Batches) -> Iterator[Finding]:
        """Yield what was found about all nodes, what the ramp does, and which batches it does not limit."""
        if not self._policy.ramp:
            return
        for names, capacities in zip(batches.names, batches.capacities, strict=True):
            for found in capacities:
                if not found.after and found.traffic_servers_removed:
                    text = (
                        f"`ramp` limits nothing for this batch: no other server of {found.backend} on"
                        f" {found.instance} is in rotation then, and it gets all requests with any weight"
                    )
                    yield Finding(Severity.WARNING, fold_names(names), text)
        stages, hold = format_stages(self._policy.ramp), self._policy.ramp_hold
        lasts = (
            f"{STAGE_REQUESTS} requests or {STAGE_DURATION_S:g} s, longer while the verdict is against it"
            if isinstance(hold, str)
            else f"{hold:g} s"
        )
        text = f"each node gets its weight back in stages of {stages} (`ramp`); a stage takes {lasts}"
        yield Finding(Severity.INFO, application, text)
        yield from self._findings

    def _explain(self, server: Server, original: OriginalState) -> tuple[str, str]:
        """Return the subject of a finding, and why a ramp limits nothing there; empty where it does."""
        ref = server.ref
        backend = f"{ref.backend} on {ref.instance}"
        facts = self._facts.get(ref.instance)
        consistent = None
        if facts is not None and not isinstance(facts, BackendError) and facts.consistent_hashes is not None:
            consistent = ref.backend in facts.consistent_hashes
        algorithm = self._algorithms.get((ref.instance, ref.backend), "")
        if reason := explain_algorithm(algorithm, consistent=consistent):
            return backend, reason
        if self._peers[ref.instance, ref.backend, server.backup] < 2:
            return backend, "it has no other server that shares the traffic, which all goes to this one"
        return str(ref), explain_weight(original.weight)
