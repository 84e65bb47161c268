"""Values of Consul's keys from unknown writers: rollouts, requests and holders of locks."""

import asyncio
import copy
import zlib
from typing import Any

import msgspec
from hypothesis import strategies as st

from backends.consul.client import Pair
from backends.consul.signing import Signer, open_value
from backends.local_machine import SystemClock
from backends.secrets import Secret
from orchestrator.engine.control import RolloutControl
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import AnyEvent, Record
from orchestrator.events.state import RolloutState
from orchestrator.locks.file import Holder, read_holder
from orchestrator.remote.checks import apply, check_readable
from orchestrator.remote.control_requests import ControlRequest, ControlRequests
from orchestrator.remote.payload import pack, read_publication, unpack
from orchestrator.remote.takeover import RolloutHeader
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.structs import built, damaged, plain
from tests.fuzz.texts import SIZES, anything, data, json_of, mostly, text, tree
from tests.support import forged

SIGNER = Signer(Secret("a key of sixteen bytes and more"), "rolldeck/shop")
HEAD = msgspec.convert(forged.publication()["head"], RolloutHeader)
PATHS = list(forged.paths(forged.publication()))


def _forge(changes: list[tuple[Any, Any]], events: list[Any], size: int) -> str:
    """An honest publication with other values at some places, and with more events."""
    whole = copy.deepcopy(forged.publication())
    for path, value in changes:
        inside: Any = whole
        try:
            for part in path[:-1]:
                inside = inside[part]
            inside[path[-1]] = value
        except (LookupError, TypeError):  # another change has taken it away
            continue
    if events and isinstance(whole["lines"], list):
        count = size // len(json_of(events)) or 1
        for number, event in enumerate(events * count, 50):
            whole["lines"].append([number, 1_764_000_000.0, event])
    return json_of(whole)


said = st.one_of(
    st.builds(
        _forge,
        st.lists(st.tuples(st.sampled_from(PATHS), st.one_of(tree, text)), max_size=3),
        st.lists(mostly(plain(AnyEvent)), max_size=4),
        st.sampled_from(SIZES),
    ),
    tree.map(json_of),
    anything,
)


@fuzzed(said=said, cut=st.sampled_from([0, 0, 0, 1, 9]))
def test_a_published_rollout(said: str, cut: int) -> None:
    """What is taken can be folded, written down and read again, or is refused before it is."""
    value = zlib.compress(said.encode(errors="replace"))
    value = value[: len(value) - cut]
    found = bounded(lambda: read_publication(value), len(said), ValueError)
    if found is None:
        return

    def fold() -> None:
        state = RolloutState()
        for record in found.records:
            apply(state, record)

    bounded(fold, len(said), ValueError)
    bounded(lambda: check_readable(found.records), len(said), ValueError)


@fuzzed(events=st.lists(built(AnyEvent), max_size=9))
def test_what_is_published_is_read_or_refused(events: list[Any]) -> None:
    records = [Record(number, 1.0, event) for number, event in enumerate(events, 1)]
    value = pack(HEAD, records)
    found = bounded(lambda: unpack(value), 100_000, ValueError)
    if found is not None:
        assert found[0] == HEAD
        assert {record.seq for record in found[1]} <= {record.seq for record in records}


@fuzzed(value=data)
def test_no_bytes_at_all_are_a_rollout(value: bytes) -> None:
    bounded(lambda: read_publication(value), len(value), ValueError)


@fuzzed(
    value=st.one_of(
        damaged(Holder).map(str.encode), data, anything.map(lambda text: text.encode(errors="replace"))
    )
)
def test_a_holder_of_a_lock(value: bytes) -> None:
    bounded(lambda: str(read_holder(value)), len(value))


@fuzzed(
    values=st.lists(
        st.one_of(
            damaged(ControlRequest).map(str.encode), plain(ControlRequest).map(json_of).map(str.encode), data
        ),
        max_size=3,
    )
)
def test_requests(values: list[bytes]) -> None:
    async def take() -> None:
        clock = SystemClock()
        bus = EventBus(clock)
        for signer in (None, SIGNER):
            requests = ControlRequests(3, RolloutControl(clock, bus), signer)
            for number, value in enumerate(values):
                requests.take(Pair(f"requests/{number}", value, number, 0, ""))

    bounded(lambda: asyncio.run(take()), sum(map(len, values)))


@fuzzed(value=data, other=data, bound=text)
def test_a_signature_is_of_one_value(value: bytes, other: bytes, bound: str) -> None:
    signed = SIGNER.sign("request", value, bound)
    opened = open_value(SIGNER, "request", signed, bound)
    assert (opened.content, opened.verified) == (value, True)
    assert not open_value(SIGNER, "lock", signed, bound).verified
    assert not open_value(SIGNER, "request", signed, f"{bound}x").verified
    assert not open_value(SIGNER, "request", other, bound).verified
    if other:
        assert not open_value(SIGNER, "request", signed + other, bound).verified
