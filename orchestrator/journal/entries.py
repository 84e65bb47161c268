"""An entry of the journal as a value: one rollout, or one change by hand."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from backends.text import shorten
from orchestrator.events.events import AnyEvent, ManualChangeFinished, RolloutEnded
from orchestrator.journal.rows import LATEST

Kind = Literal["upgrade", "rollback", "change"]
UNKNOWN = "unknown"  # the kind of an entry that cannot be read
MAX_PROBLEM_CHARS = 300  # characters of why an entry cannot be read

COLUMNS = (
    "id, kind, application, version, operator, host, pid, began, ended, result, reason, follows, plan,"
    " plan_hash"
)


Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """`COLUMNS`, as they must be: SQLite itself takes anything in each of them."""

    id: int
    kind: Kind
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: Time
    ended: Time | None
    result: str
    reason: str
    follows: int | None
    plan: str
    plan_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHeader:
    """What an entry begins with.

    Attributes:
        version: empty of a change by hand.
        began: seconds since 1970; who takes it over from another machine knows it by that.
        plan: as `rolldeck plan --json` shows it.
        follows: the entry that this one resumes or rolls back.
    """

    kind: Kind
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: float
    plan: Mapping[str, Any]
    follows: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One rollout, or one change by hand.

    Attributes:
        ended: seconds since 1970; None while it runs, and for ever when whoever ran it was killed.
        result: how it ended; empty without an end.
        follows: the entry that this one resumes or rolls back.
        plan: as `rolldeck plan --json` shows it; empty where what stands there is none.
        intact: the plan is the one that was written: its hash is right.
        problem: why it cannot be read, in words, such as a kind that only a later Rolldeck knows; then it has
            the kind "unknown", and what could be read of the rest. Empty for all others.
    """

    id: int
    kind: Kind | Literal["unknown"]
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: float
    ended: float | None
    result: str
    reason: str
    follows: int | None
    plan: dict[str, Any]
    intact: bool
    problem: str = ""

    @property
    def adopted(self) -> bool:
        """It was taken over from another journal: of its commands only those that began a step are known."""
        return "fence" in self.plan  # written there by an adoption only; others record it as an event


def read_entry(columns: tuple[Any, ...]) -> Entry:
    """From the columns of `COLUMNS`, whatever they are."""
    try:
        row, problem = msgspec.convert(columns, _Row), ""
    except msgspec.ValidationError as error:
        row, problem = _doubtful(columns), shorten(str(error), MAX_PROBLEM_CHARS)
    *fields, plan, written = msgspec.structs.astuple(row)
    if problem:
        fields[1] = UNKNOWN
    try:
        decoded = msgspec.json.decode(plan, type=dict[str, Any])  # of any content: what uses it looks
    except (msgspec.MsgspecError, ValueError, RecursionError):
        decoded = {}
    return Entry(*fields, decoded, plan_hash(plan) == written, problem)  # type: ignore[call-arg]


def _doubtful(columns: tuple[Any, ...]) -> _Row:
    """What can be said of an entry that has something else in its columns than it should."""

    def convert(value: Any, kind: Any, instead: Any) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return instead

    kinds = zip(_Row.__struct_fields__, columns, strict=True)
    instead = {"id": 0, "pid": 0, "began": 0.0, "ended": None, "follows": None}
    types = get_type_hints(_Row, include_extras=True)
    return _Row(*(convert(value, types[name], instead.get(name, "")) for name, value in kinds))


def plan_hash(plan: str) -> str:
    """Stands beside a plan: it shows whether somebody has changed it."""
    return hashlib.sha256(plan.encode()).hexdigest()


def ending(kind: str, event: AnyEvent) -> tuple[str, str] | None:
    """The result and the reason with which an event ends an entry of this kind; None when it does not.

    A change by hand may be made while a rollout goes on, and is written into its entry: it does not end that.
    """
    match event:
        case RolloutEnded(result=result, reason=reason) if kind != "change":
            return result, reason
        case ManualChangeFinished(error=error) if kind == "change":
            return ("degraded" if error else "healthy"), error
        case _:
            return None
