"""What earlier rollouts have not finished: read from the journal, node by node, the newest word on each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from backends.model import ServerRef
from orchestrator import events
from orchestrator.errors import JournalError
from orchestrator.events import CommandBegan, Record, Step
from orchestrator.journal.store import Entry, Journal
from orchestrator.node import Original
from orchestrator.preflight import Left

LOOKED_AT = 100  # entries, the newest: a node that was left out longer ago is somebody's decision by now

_TOLD = ("turn_began", "step_started", "command_began", "step_done", "node_upgraded", "node_failed")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A node whose turn has begun and was not completed.

    Attributes:
        version: it was to have.
        step: that was begun last; None when none was.
        failed: why it failed; empty when it was interrupted.
        originals: what had been decided about its servers before.
        command: that the unfinished step had begun last, and that may go on there; None when it had none.
    """

    node: str
    entry: Entry
    version: str
    step: Step | None
    failed: str
    originals: Mapping[ServerRef, Original]
    command: CommandBegan | None

    @property
    def words(self) -> str:
        """`left by rollout 12 (ann@here, 2026-11-25 03:12): failed at verify: ...`."""
        at = datetime.fromtimestamp(self.entry.began, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        where = f" at {self.step}" if self.step else ""
        what = f"failed{where}: {self.failed}" if self.failed else f"interrupted{where}"
        return f"left by rollout {self.entry.id} ({self.entry.operator}, {at}): {what}"

    def left(self) -> Left:
        """For preflight."""
        return Left(
            self.entry.id,
            self.originals,
            f"{self.words}; it is finished now, and put back as before",
            self.command,
        )


def leftovers(journal: Journal, application: str) -> dict[str, Leftover]:
    """By node. A node that was upgraded, or taken out or put back by hand since, is none.

    A change by hand that did not succeed has decided nothing, and one of the weight only that.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        return _leftovers(journal, application)
    except ValueError as error:  # of a plan or an event that no Rolldeck has written
        raise JournalError(journal.path, f"cannot be understood: {error}") from error


class _Change(msgspec.Struct, frozen=True):
    """What counts of the plan of a change by hand."""

    action: str = ""
    nodes: list[str] = []
    weight: int = 0


def _leftovers(journal: Journal, application: str) -> dict[str, Leftover]:
    found: dict[str, Leftover] = {}
    decided: set[str] = set()
    weights: dict[str, int] = {}
    for entry in journal.entries(application, limit=LOOKED_AT):
        if entry.kind == "change":
            change = msgspec.convert(entry.plan, _Change)
            nodes = change.nodes if entry.result == "healthy" else []
            if change.action == "weight":
                weights = dict.fromkeys(nodes, change.weight) | weights
            else:
                decided.update(nodes)
            continue
        try:
            nodes_of = _of(entry, journal.records(entry.id, *_TOLD))
        except ValueError as error:  # taken over by a version that looked less closely
            raise JournalError(journal.path, f"entry {entry.id} cannot be understood: {error}") from None
        for node, leftover in nodes_of:
            if node not in decided:
                decided.add(node)
                if leftover is not None:
                    found[node] = _weighing(leftover, weights.get(node))
    return found


def _weighing(leftover: Leftover, weight: int | None) -> Leftover:
    """With the weight that somebody has set since."""
    if weight is None:
        return leftover
    originals = {ref: replace(each, weight=weight) for ref, each in leftover.originals.items()}
    return replace(leftover, originals=originals)


def _of(entry: Entry, records: Iterable[Record]) -> list[tuple[str, Leftover | None]]:
    """Each node whose turn has begun, and what is left of it; None when it was completed."""
    began: dict[str, events.TurnBegan] = {}
    steps: dict[str, Step] = {}
    commands: dict[str, CommandBegan] = {}
    failed: dict[str, str] = {}
    done: set[str] = set()
    for record in records:
        match record.event:
            case events.TurnBegan(node=node) as event:
                # A retry begins no new turn, and what was before the first one counts.
                began.setdefault(node, event)
            case events.StepStarted(node=node, step=step):
                steps[node] = step
                failed.pop(node, None)
            case CommandBegan(node=node) as command:
                commands[node] = command
            case events.StepDone(node=node):
                commands.pop(node, None)
            case events.NodeFailed(node=node, error=error):
                failed[node] = error
            case events.NodeUpgraded(node=node):
                done.add(node)
            case _:
                pass

    def left(node: str, event: events.TurnBegan) -> Leftover:
        originals = dict(Original.read(each) for each in event.originals)
        return Leftover(
            node, entry, event.version, steps.get(node), failed.get(node, ""), originals, commands.get(node)
        )

    return [(node, None if node in done else left(node, event)) for node, event in began.items()]


def unfinished(journal: Journal, application: str) -> Entry | None:
    """The newest rollout of an application, when it did not end healthy; else None.

    Raises:
        JournalError: it cannot be read.
    """
    rollouts = (each for each in journal.entries(application, limit=LOOKED_AT) if each.kind != "change")
    newest = next(rollouts, None)
    return newest if newest is not None and newest.result != "healthy" else None
