"""Versions in Consul: each node that is done, as long as the lock is ours."""

from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from backends.consul.settings import ConsulSettings
from backends.errors import Unreachable
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, NodeStarted, NodeUpgraded, Record
from orchestrator.session.consul import publish_versions
from tests.support.virtual_time import VirtualClock

if TYPE_CHECKING:
    from backends.consul.client import Consul


class Store:
    """Takes what is put, unless it is down."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.down = False

    async def put(self, key: str, value: bytes) -> bool:
        if self.down:
            raise Unreachable("consul", "no answer")
        self.keys[key] = value.decode()
        return True


def upgraded(bus: EventBus, node: str, version: str) -> None:
    bus.emit(NodeStarted(node=node, version=version, originals=[]))
    bus.emit(NodeUpgraded(node=node, duration_s=1))


@pytest.mark.virtual_time
@pytest.mark.parametrize("lost", ["", "another holder has the lock in Consul"])
async def test_what_waits_is_written_later_and_never_after_the_lock_is_gone(lost: str) -> None:
    clock = VirtualClock()
    bus, store, why = EventBus(clock), Store(), [""]
    told: list[str] = []

    def note(record: Record) -> None:
        if isinstance(record.event, NodeNote):
            told.append(record.event.node)

    bus.subscribe(note)
    async with publish_versions(cast("Consul", store), lambda node: f"v/{node}", bus, lambda: why[0]):
        upgraded(bus, "web1", "2.0")
        await clock.sleep(1)
        assert store.keys == {"v/web1": "2.0"}
        store.down = True
        upgraded(bus, "web2", "2.0")
        await clock.sleep(5)
        assert told == ["web2"], "once"
        why[0], store.down = lost, False
    assert ("v/web2" in store.keys) is not bool(lost)


@pytest.mark.parametrize("key", ["versions", "/v/{node}", "v/{service}/{node}", "v/{app}"])
def test_a_key_that_cannot_be_used_is_refused_when_the_configuration_is_read(key: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"version_key: found .* expected a key with \{node\}"):
        msgspec.convert({"version_key": key}, ConsulSettings)
