"""Consul, asked by our client: on a real agent, with and without ACLs, hung, gone and without a leader."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.errors import PermissionDenied, Unreachable
from tests.support.servers.consul import MASTER, Agent, needs_consul, running_consul, three_servers

pytestmark = needs_consul


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_consul(tmp_path) as made:
        yield made


@pytest.fixture
async def consul(agent: Agent) -> AsyncIterator[Consul]:
    made = Consul(ConsulSettings(address=agent.address, timeout=1))
    yield made
    await made.close()


async def test_keys_are_set_read_listed_and_deleted(consul: Consul) -> None:
    assert (await consul.get("a/b"))[1] is None
    assert await consul.put("a/b", b"1", cas=0)
    assert not await consul.put("a/b", b"2", cas=0)
    _, pair = await consul.get("a/b")
    assert pair is not None
    assert (pair.value, pair.session) == (b"1", "")
    assert await consul.put("a/b", "Größe\0".encode(), cas=pair.modified)
    await consul.put("a/c", b"")
    assert [(pair.key, pair.value) for pair in (await consul.list("a/"))[1]] == [
        ("a/b", "Größe\0".encode()),
        ("a/c", b""),
    ]
    await consul.delete("a/", recurse=True)
    assert (await consul.list("a/"))[1] == []


async def test_a_blocking_query_ends_with_the_change_and_can_be_cancelled(consul: Consul) -> None:
    await consul.put("key", b"1")
    index, _ = await consul.get("key")
    waiting = asyncio.create_task(consul.get("key", index, wait=30))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await consul.put("key", b"2")
    after, pair = await asyncio.wait_for(waiting, 10)
    assert after > index
    assert pair is not None
    assert pair.value == b"2"
    endless = asyncio.create_task(consul.get("key", after, wait=30))
    await asyncio.sleep(0.1)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(endless, 5)


async def test_one_session_at_a_time_has_a_lock_and_the_number_grows(consul: Consul) -> None:
    first, second = [await consul.begin_session("test", 10, 0) for _ in range(2)]
    assert await consul.put("lock", b"first", acquire=first)
    assert not await consul.put("lock", b"second", acquire=second)
    before = (await consul.get("lock"))[1]
    assert before is not None
    assert (before.session, before.locked) == (first, 1)
    assert await consul.renew_session(first)
    await consul.end_session(first)
    assert not await consul.renew_session(first)
    assert await consul.put("lock", b"second", acquire=second)
    after = (await consul.get("lock"))[1]
    assert after is not None
    assert (after.session, after.locked) == (second, 2)


async def test_instances_of_a_service_with_their_checks(agent: Agent, consul: Consul) -> None:
    await agent.register("shop", "shop-1", 8080, Tags=["live"], Meta={"zone": "a"})
    await agent.register("shop", "shop-2", 8081, Tags=["test"])
    _, found = await consul.services("shop", [])
    assert {instance.service.identity for instance in found} == {"shop-1", "shop-2"}
    _, live = await consul.services("shop", ["live"])
    assert [instance.service.meta for instance in live] == [{"zone": "a"}]
    assert (await consul.services("nothing", []))[1] == []


async def test_an_agent_that_hangs_or_is_gone_is_unreachable(agent: Agent, consul: Consul) -> None:
    await consul.put("key", b"1")
    agent.freeze()
    with pytest.raises(Unreachable, match=r"key key: no answer from http://127.0.0.1:\d+ within 1 s"):
        await consul.get("key")
    agent.thaw()
    await consul.get("key")
    await agent.kill()
    with pytest.raises(Unreachable, match="cannot be reached"):
        await consul.get("key")


async def test_servers_without_a_leader_say_so_until_there_is_one_again(tmp_path: Path) -> None:
    async with three_servers(tmp_path) as agents:
        consul = Consul(ConsulSettings(address=agents[0].address, timeout=10))
        await consul.put("key", b"1")
        for agent in agents[1:]:
            await agent.kill()

        async def ask_again_and_again() -> None:
            while True:
                await consul.get("key")
                await asyncio.sleep(0.1)

        with pytest.raises(Unreachable, match=r"no leader|leadership lost|no answer|refused|rpc error"):
            await ask_again_and_again()
        for agent in agents[1:]:
            await agent.start()
        await agents[1].ready()
        _, pair = await consul.get("key")
        assert pair is not None
        assert pair.value == b"1"
        await consul.close()


async def test_a_token_opens_what_no_token_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "wrong-and-not-to-be-used")
    monkeypatch.setenv("OURS", MASTER)
    async with running_consul(tmp_path, acl=True) as agent:
        allowed = Consul(ConsulSettings(address=agent.address, token_env="OURS"))
        assert await allowed.put("key", b"1")
        await allowed.close()
        monkeypatch.delenv("CONSUL_HTTP_TOKEN")
        nobody = Consul(ConsulSettings(address=agent.address))
        with pytest.raises(PermissionDenied, match="set key: permission denied; no token is given"):
            await nobody.put("key", b"2")
        await nobody.close()
