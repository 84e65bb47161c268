"""What a rollout is, for others: as much as somebody needs to finish it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from backends.untrusted import MAX_NAME_CHARS, Count, Name, Number, ProcessId, Time
from orchestrator.journal.entries import EntryHeader

MAX_NODES = 20_000

_Nodes = Annotated[list[Name], msgspec.Meta(max_length=MAX_NODES)]
_Size = Number | Annotated[str, msgspec.Meta(max_length=16)]  # as in `Policy.serial`


class Endpoint(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where a node is, and nothing of how commands reach it: others may have written it."""

    address: Annotated[str, msgspec.Meta(max_length=255)]
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    ssh: Annotated[str, msgspec.Meta(max_length=255)]


class PublishedNode(msgspec.Struct, kw_only=True, frozen=True):
    """A node of a plan."""

    node: Name
    wanted: Annotated[str, msgspec.Meta(max_length=128)]  # the version it is to have


class PublishedPolicy(msgspec.Struct, kw_only=True, frozen=True):
    """Of how it is carried out, what is not as the configuration says at the next attempt."""

    serial: _Size | Annotated[list[_Size], msgspec.Meta(min_length=1, max_length=1_000)]


class PublishedPlan(msgspec.Struct, kw_only=True, frozen=True):
    """A plan as far as `resume` needs it; in the journal it reads as a part of a whole one."""

    batches: Annotated[list[_Nodes], msgspec.Meta(max_length=MAX_NODES)]
    nodes: Annotated[list[PublishedNode], msgspec.Meta(max_length=MAX_NODES)]
    policy: PublishedPolicy
    places: Annotated[dict[Name, Endpoint], msgspec.Meta(max_length=MAX_NODES)] = {}
    findings: Annotated[list[str], msgspec.Meta(max_length=0)] = []


class RolloutHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout is, and what somebody else needs to finish it."""

    kind: Literal["upgrade", "rollback"]
    application: Name
    version: Name
    operator: Name
    host: Name
    pid: ProcessId
    began: Time
    plan: PublishedPlan
    fence: Count = 0  # of the lock under which it is carried out

    @classmethod
    def of(cls, entry: EntryHeader, fence: int) -> "RolloutHeader":
        """Of a rollout, not of a change by hand, as it begins; `fence` is that of its lock."""
        if entry.kind == "change":
            raise TypeError("a manual change cannot be taken over")
        return cls(
            kind=entry.kind,
            application=entry.application,
            version=entry.version[:MAX_NAME_CHARS],  # it may be those of many nodes
            operator=entry.operator,
            host=entry.host,
            pid=entry.pid,
            began=entry.began,
            plan=published_plan(entry.plan),
            fence=fence,
        )

    @property
    def who(self) -> str:
        return f"{self.operator} (process {self.pid} on {self.host})"


def published_plan(plan: Mapping[str, Any]) -> PublishedPlan:
    """Of a plan as it stands in the journal, without commands and findings."""
    return PublishedPlan(
        batches=[list(batch) for batch in plan["batches"]],
        nodes=[PublishedNode(node=node["node"], wanted=node["wanted"]) for node in plan["nodes"]],
        policy=PublishedPolicy(serial=plan["policy"]["serial"]),
        places=dict(plan.get("places", {})),
    )
