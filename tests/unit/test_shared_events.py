"""A rollout as it is published: small enough for one key, and nothing that is read there is trusted."""

import random
import zlib
from collections.abc import Callable

import msgspec
import pytest

from orchestrator.events.events import (
    AnyEvent,
    CommandFinished,
    NodeFailed,
    NodeNote,
    NodeStarted,
    Record,
    RolloutEnded,
    StepDone,
    Waiting,
)
from orchestrator.events.judgement import Evidence, Measured, ServerMeasured
from orchestrator.events.ways_back import OutOfRotation
from orchestrator.planning.application import Policy
from orchestrator.remote.payload import MAX_PAYLOAD_BYTES, MAX_TEXT_CHARS, pack, unpack
from orchestrator.remote.takeover import (
    Endpoint,
    PublishedNode,
    PublishedPlan,
    PublishedPolicy,
    RolloutHeader,
)
from tests.support.verdicts import BAD, verdicts
from tests.unit import journals

HEAD = RolloutHeader(
    kind="upgrade",
    application="shop",
    version="2.0",
    operator="me@here",
    host="here",
    pid=7,
    began=1.0,
    plan=PublishedPlan(
        batches=[["web1"]],
        nodes=[PublishedNode(node="web1", wanted="2.0")],
        policy=PublishedPolicy(serial="30%"),
        places={"web1": Endpoint(address="10.0.0.1", port=80, ssh="")},
    ),
    fence=3,
)
ENDED = journals.ended(reason="no")


def records(*events: AnyEvent) -> list[Record]:
    return [Record(number, 1.0, event) for number, event in enumerate(events, 1)]


def noise(length: int) -> str:
    """Text that nothing makes shorter."""
    return random.Random(1).randbytes(length // 2).hex()  # noqa: S311 - no secret


def test_what_others_need_is_there_and_of_waits_the_last_word() -> None:
    waits = [Waiting(node="web1", step="drain", reason=f"{left}", remaining_s=left) for left in (3, 2, 1)]
    sent = CommandFinished(
        node="web1", step="drain", target="lb1", command="x", reply="", ok=True, duration_s=0
    )
    began = NodeStarted(node="web1", version="2.0", originals=[])
    told = records(began, *waits, sent, ENDED)
    head, seen = unpack(pack(HEAD, told))
    assert head == HEAD
    assert seen == [told[0], told[3], told[5]]


def test_a_text_without_an_end_does_not_keep_the_rest_from_being_seen() -> None:
    long = noise(8 * MAX_PAYLOAD_BYTES)
    failed = NodeFailed(node="web1", step="verify", error=long)
    packed = pack(HEAD, records(failed, msgspec.structs.replace(ENDED, reason=long)))
    assert len(packed) <= MAX_PAYLOAD_BYTES
    _, seen = unpack(packed)
    assert isinstance(seen[0].event, NodeFailed)
    assert seen[0].event.error == f"{long[:MAX_TEXT_CHARS]}…"
    assert isinstance(seen[1].event, RolloutEnded)


def test_of_too_much_the_dispensable_goes_first() -> None:
    notes = [
        NodeNote(node="web1", text=noise(MAX_TEXT_CHARS)[number:])
        for number in range(MAX_PAYLOAD_BYTES // 500)
    ]
    done = StepDone(node="web1", step="drain", changed=True, detail="", duration_s=1)
    _, seen = unpack(pack(HEAD, records(*_different(notes), done, ENDED)))
    assert [type(event.event) for event in seen] == [StepDone, RolloutEnded]


def test_of_measurements_others_need_the_last_evidence_and_of_verdicts_all_while_there_is_room() -> None:
    server = ServerMeasured(balancer="lb1", backend="b", server="web1", group="new", requests=9, errors=0)
    measured = [
        Measured(duration_s=60, servers=[server], evidence=Evidence(sums={"errors": number}))
        for number in (1.0, 2.0)
    ]
    found = [verdict for _, verdict in verdicts(5)]
    told = records(*found, *measured, BAD, BAD, ENDED)
    _, seen = unpack(pack(HEAD, told))
    assert [record.event for record in seen] == [
        *found,
        Measured(duration_s=60, servers=[], evidence=Evidence(sums={"errors": 2.0})),
        BAD,
        BAD,
        ENDED,
    ]
    notes = [NodeNote(node="web1", text="")] * (MAX_PAYLOAD_BYTES // 500)
    _, seen = unpack(pack(HEAD, records(*_different(notes), *found, BAD, BAD, ENDED)))
    assert [record.event for record in seen] == [found[0], BAD, BAD, ENDED]


def _different(notes: list[NodeNote]) -> list[NodeNote]:
    """Repetition is what makes them small."""
    some = random.Random(2)  # noqa: S311 - no secret
    return [msgspec.structs.replace(note, text=some.randbytes(MAX_TEXT_CHARS // 2).hex()) for note in notes]


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: b"", "cannot be understood"),
        (lambda: b"garbage", "cannot be understood"),
        (lambda: zlib.compress(b"[]"), "cannot be understood"),
        (lambda: zlib.compress(b"{" * 10_000_000, level=1), "cannot be understood"),
        (lambda: zlib.compress(bytes(100_000_000), level=1), "cannot be understood"),
        (
            lambda: zlib.compress(msgspec.json.encode({"schema": 99, "head": HEAD, "lines": []})),
            "is of schema 99",
        ),
    ],
)
def test_what_cannot_be_one_is_said(build: Callable[[], bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpack(build())


def test_nor_does_one_in_a_list_within_an_event() -> None:
    """What HAProxy answers at the end is of any length too."""
    long = noise(8 * MAX_PAYLOAD_BYTES)
    out = OutOfRotation(node="web1", servers=[long], intentional=False, commands=[])
    ended = msgspec.structs.replace(ENDED, unreachable_balancers=["lb1: away", long], out_of_rotation=[out])
    packed = pack(HEAD, records(ended))
    assert len(packed) <= MAX_PAYLOAD_BYTES
    [seen] = unpack(packed)[1]
    assert isinstance(seen.event, RolloutEnded)
    assert seen.event.unreachable_balancers == ["lb1: away", f"{long[:MAX_TEXT_CHARS]}…"]
    assert seen.event.out_of_rotation[0].servers == [f"{long[:MAX_TEXT_CHARS]}…"]


@pytest.mark.parametrize("serial", [1, 100_000, "30%", " 030% ", "5", [1, "30%"]])
def test_every_serial_of_a_configuration_can_be_published(serial: int | str | list[int | str]) -> None:
    Policy(serial=serial)
    plan = msgspec.structs.replace(HEAD.plan, policy=PublishedPolicy(serial=serial))
    head = msgspec.structs.replace(HEAD, plan=plan)
    assert unpack(pack(head, [])) == (head, [])


@pytest.mark.parametrize("serial", [0, -1, "0%", "101%", "all", [], [1, 0], 2**64, "9" * 17])
def test_no_other_is_taken(serial: int | str | list[int | str]) -> None:
    plan = msgspec.structs.replace(HEAD.plan, policy=PublishedPolicy(serial=serial))
    with pytest.raises(ValueError, match=r"serial|cannot be understood"):
        unpack(pack(msgspec.structs.replace(HEAD, plan=plan), []))
