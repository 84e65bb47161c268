"""Checks of rollouts that other machines have published, and our own commands in place of theirs.

Decoding checks types and ranges (`backends.untrusted`); these are the checks that types cannot express.
"""

from collections.abc import Callable, Collection, Sequence

import msgspec

from backends.errors import ConfigError
from backends.model import AdminState, ServerRef
from backends.templates import check_host, check_value, check_version
from backends.untrusted import check_amounts, check_printable, quote
from orchestrator.engine.final_state import build_commands_for_unread
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.state import RolloutState
from orchestrator.events.ways_back import (
    BackCommand,
    OriginalStateRecord,
    OutOfRotation,
    WayOn,
    make_ready_command,
)
from orchestrator.journal.entries import decode_event, encode_row
from orchestrator.node import OriginalState
from orchestrator.planning.application import Policy
from orchestrator.remote.takeover import RolloutHeader

MAX_WEIGHT = 256  # HAProxy's


def check_header(header: RolloutHeader) -> frozenset[str]:
    """Check names and versions, which may become parts of commands.

    Returns:
        The names of its nodes.

    Raises:
        ValueError: they cannot be used in commands, or do not fit together.
    """
    for what in ("application", "version", "operator", "host"):
        check_printable(what, getattr(header, what))
    Policy(serial=header.plan.policy.serial)  # says what is wrong with it
    names = frozenset(node.node for node in header.plan.nodes)
    if len(names) != len(header.plan.nodes):
        raise ValueError("its plan has the same node twice")
    for name in names:
        _check_inert("a node", name)
    batched = [name for batch in header.plan.batches for name in batch]
    if len(set(batched)) != len(batched) or not names.issuperset(batched):
        raise ValueError("its batches have a node twice, or one that is not in its plan")
    for node in header.plan.nodes:
        if not _is_version(node.wanted):
            raise ValueError(
                f"node {node.node} has target version {quote(node.wanted)}, which is not a version"
            )
    for name, endpoint in header.plan.places.items():
        _check_inert("a node", name)
        for what, value in (("address", endpoint.address), ("ssh", endpoint.ssh or endpoint.address)):
            _check_inert(f"{what} of {name}", value, check_host)
    return names


def check_record(header: RolloutHeader, names: Collection[str], record: Record) -> None:
    """Raise ValueError unless a record can be of a rollout with this header and these nodes."""
    event = record.event
    try:
        check_amounts(event)
        match event:
            case events.CommandSending() | events.CommandFinished() | events.ServiceLog():
                raise ValueError("commands, replies and logs are not published")
            case events.Unreadable():
                raise ValueError("unreadable events of a journal are not published")
            case events.RolloutStarted():
                _check_start(header, names, event)
            case events.NodeStarted():
                _check_node_start(names, event)
            case events.RolloutEnded():
                _check_end(names, event)
            case events.CommandStarted():
                _check_command(event)
            case _:
                pass
    except ValueError as error:
        raise ValueError(f"event {record.seq}: {error}") from None


def _check_start(header: RolloutHeader, names: Collection[str], event: events.RolloutStarted) -> None:
    if event.application != header.application:
        raise ValueError(f"it is of application {quote(event.application)}")
    nodes = frozenset(event.nodes)
    if not nodes <= frozenset(names) or not nodes.issuperset(
        name for batch in event.batches for name in batch
    ):
        raise ValueError("it has nodes that are not in its plan")


def _check_node_start(names: Collection[str], event: events.NodeStarted) -> None:
    if event.node not in names:
        raise ValueError(f"node {quote(event.node)} is not in its plan")
    if not _is_version(event.version):
        raise ValueError(f"found {quote(event.version)}, which is not a version")
    for original in event.originals:
        _check_original(original)


def _check_end(names: Collection[str], event: events.RolloutEnded) -> None:
    for node_out in event.out_of_rotation:
        if node_out.node not in names:  # it fell out of rotation beside the plan
            check_printable("a node", node_out.node)


def _check_command(event: events.CommandStarted) -> None:
    if not (0 < event.pid < 2**31 and event.started >= 0):
        raise ValueError(f"found process {event.pid}, begun at {event.started}, which cannot be")


def _check_original(original: OriginalStateRecord) -> None:
    for name in (original.instance, original.backend, original.server):
        check_printable("a server", name)
    if original.admin not in list(AdminState):
        raise ValueError(f"found state {quote(original.admin)}, expected {', '.join(AdminState)}")
    if not 0 <= original.weight <= MAX_WEIGHT:
        raise ValueError(f"found weight {original.weight}, expected 0 to {MAX_WEIGHT}")


def with_own_commands(header: RolloutHeader, records: Sequence[Record]) -> list[Record]:
    """Return the records with our own commands instead of published ones: operators type them."""
    starts: dict[str, events.NodeStarted] = {}
    before: dict[str, str] = {}
    own = []
    for record in records:
        event = record.event
        match event:
            case events.RolloutStarted():
                before = {name: version for name, version in event.before.items() if _is_version(version)}
                if before != event.before:  # it is what a rollback would install
                    event = msgspec.structs.replace(event, before=before)
            case events.NodeStarted(node=node):
                starts.setdefault(node, event)
            case events.RolloutEnded(out_of_rotation=out, ways_on=ways_on) if out or ways_on:
                ways = [
                    _make_way_back(header, node_out, starts.get(node_out.node), before) for node_out in out
                ]
                on = [
                    WayOn(purpose=way.purpose, command=f"rolldeck {way.purpose} {header.application}")
                    for way in ways_on
                ]
                event = msgspec.structs.replace(event, out_of_rotation=ways, ways_on=on)
            case _:
                pass
        own.append(record if event is record.event else msgspec.structs.replace(record, event=event))
    return own


def _make_way_back(
    header: RolloutHeader, out: OutOfRotation, start: events.NodeStarted | None, before: dict[str, str]
) -> OutOfRotation:
    commands: list[BackCommand] = []
    go_back = ""
    planned = any(node.node == out.node for node in header.plan.nodes)
    if planned and not out.intentional:
        commands = [make_ready_command(header.application, out.node)]
        if out.rollback_command and out.node in before:
            go_back = (
                f"rolldeck upgrade {header.application} {before[out.node]}"
                f" --limit {out.node} --force-ready {out.node}"
            )
        for original in start.originals if start is not None else []:
            ref, was = OriginalState.from_event(original)
            if _is_inert(ref):
                commands += build_commands_for_unread(ref, was)
    return msgspec.structs.replace(out, rollback_command=go_back, commands=commands)


def check_readable(records: Sequence[Record]) -> None:
    """Raise ValueError unless records can be read and folded again once they are in the journal."""
    state = RolloutState()
    for record in records:
        apply(state, record)
        if decode_event(encode_row(record)) != record.event:
            raise ValueError(f"event {record.seq} would not be the same in the journal")


def apply(state: RolloutState, record: Record) -> None:
    """Fold a published event. Raises ValueError if it does not follow from those before."""
    try:
        state.apply(record)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        raise ValueError(f"event {record.seq} does not fit to those before it") from None


def _is_inert(ref: ServerRef) -> bool:
    try:
        for name in (ref.instance, ref.backend, ref.server):
            check_value("", name)
    except ConfigError:
        return False
    return True


def _is_version(version: str) -> bool:
    try:
        check_version(version)
    except ConfigError:
        return False
    return True


def _check_inert(what: str, name: str, check: Callable[[str, str], str] = check_value) -> None:
    try:
        check(what, name)
    except ConfigError as error:
        raise ValueError(f"{what}: {error.problem}") from None
