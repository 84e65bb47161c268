"""A real Consul with forged values: the commands, the console and the subscriber report and survive them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.errors import BackendError, UnreadableReply
from backends.local_machine import SystemClock
from console.config.config_file import load
from console.sessions import open_session
from orchestrator.engine.control import RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Paused, Record
from orchestrator.remote.publisher import RolloutPublisher
from orchestrator.remote.rollout import RolloutSubscriber
from orchestrator.remote.takeover import PublishedPlan, PublishedPolicy, RolloutHeader
from tests.integration.in_process import refusal
from tests.support import forged
from tests.support.consul_world import consul_world
from tests.support.rollouts import NEW, OLD, rolldeck, versions
from tests.support.servers.consul import Agent, needs_consul, running_consul
from tests.support.wait import until

pytestmark = needs_consul

ROLLOUT, FOLDER = "rolldeck/shop/rollout", "rolldeck/shop/requests/"
NAMES = {
    *("garbage", "not UTF-8", "a bomb", "a deep field that nobody knows", "a foreign application"),
    *("twice from the beginning", "an event that nobody knows", "lines.7.2.originals.0.admin is a text"),
    *("head.began is 1e300", "head.plan.batches is a deep list", "head.pid is beyond 64 bits"),
}
"""Each of them was a traceback, in `follow`, in `resume` or in every command after that."""


COMMANDS = (("follow", "shop"), ("resume", "shop", "--yes", "--trust-published"))


@asynccontextmanager
async def opened(agent: Agent) -> AsyncIterator[Consul]:
    consul = Consul(ConsulSettings(address=agent.address))
    try:
        yield consul
    finally:
        await consul.close()


async def test_every_command_says_what_is_wrong_and_with_which_key(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), opened(agent) as consul:
        for name, value in forged.publications():
            if name in NAMES:
                assert await consul.put(ROLLOUT, value)
                for command in COMMANDS:
                    error = await refusal(stack, *command)
                    assert isinstance(error, BackendError), name
                    assert f"key {ROLLOUT}: " in str(error), name
                    assert len(str(error)) < 1_000, name
        for command in COMMANDS:
            run = await rolldeck(stack, *command)
            assert run.code == 1, run.text
            assert f"key {ROLLOUT}: " in run.text
            assert "defect" not in run.text
        assert (await rolldeck(stack, "status", "shop")).code == 0
        await consul.delete(ROLLOUT)
        assert "nothing to resume" in (await rolldeck(stack, "resume", "shop", "--yes")).text
        run = await rolldeck(stack, "upgrade", "shop", NEW, "--yes")
        assert run.code == 0, run.text


async def test_commands_of_somebody_else_are_never_shown(tmp_path: Path) -> None:
    published = forged.publication()
    [out] = published["lines"][-1][2]["out_of_rotation"]
    out["commands"] = [{"kind": "ready", "text": f"rolldeck x; {forged.MARK}"}]
    out["rollback_command"] = forged.MARK
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), opened(agent) as consul:
        assert await consul.put(ROLLOUT, forged.packed(published))
        for run in (
            await rolldeck(stack, "follow", "shop"),
            await rolldeck(stack, "follow", "shop", "--json"),
        ):
            assert run.code == 1, run.text
            assert "rolldeck ready shop web2" in run.text
            assert forged.MARK not in run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_the_console_says_in_its_header_what_it_cannot_follow(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), opened(agent) as consul:
        assert await consul.put(ROLLOUT, b"garbage")
        async with open_session(load(stack.config_path), "shop") as session:
            assert session.links.remote is not None
            assert session.consul_status is not None
            following = asyncio.create_task(session.links.remote.run())
            elsewhere = session.links.remote

            async def named() -> bool:
                return f"key {ROLLOUT}: cannot be understood" in (
                    status.note if (status := session.consul_status) is not None else ""
                )

            async def followed() -> bool:
                return elsewhere.seen is not None

            await until(named)
            assert await consul.put(ROLLOUT, forged.packed(forged.publication()))
            await until(followed)
            assert elsewhere.problem == ""
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def test_requests_are_taken_after_any_that_cannot_be(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = EventBus(clock)
    control = RolloutControl(clock, bus)
    records: list[Record] = []
    bus.subscribe(records.append)
    plan = PublishedPlan(batches=[], nodes=[], policy=PublishedPolicy(serial=1))
    async with running_consul(tmp_path) as agent, opened(agent) as consul:
        lock = ConsulLock(consul, "rolldeck/shop/lock", clock)
        assert await lock.try_acquire(b"us")
        head = RolloutHeader(
            kind="upgrade",
            application="shop",
            version="2",
            operator="me",
            host="here",
            pid=1,
            began=1.0,
            plan=plan,
            fence=lock.fencing_token,
        )
        async with RolloutPublisher(consul, "rolldeck", head, lambda: lock.session, bus, control).working():
            for number, (_, value) in enumerate(forged.requests(lock.fencing_token)):
                assert await consul.put(f"{FOLDER}{number}", value)
            following = RolloutSubscriber(consul, "rolldeck", "shop")

            async def published() -> bool:
                return await following.read() is not None

            await until(published)
            seen = await following.read()
            assert seen is not None
            key = await following.send_request(seen, "pause", Actor("ann@far"))
            await until(lambda: following.is_taken(key))
            assert control.paused
            assert not control.aborting
        assert (await consul.list(FOLDER))[1] == []
        await lock.release()
    assert [record.event.via for record in records if isinstance(record.event, Paused)] == ["consul"]
    assert len([record for record in records if isinstance(record.event, NodeNote)]) <= 21


async def test_a_key_of_another_application_is_not_ours(tmp_path: Path) -> None:
    async with running_consul(tmp_path) as agent, opened(agent) as consul:
        assert await consul.put("rolldeck/bank/rollout", forged.packed(forged.publication()))
        with pytest.raises(
            UnreadableReply, match=r"^consul: key rolldeck/bank/rollout: is of application 'shop'$"
        ):
            await RolloutSubscriber(consul, "rolldeck", "bank").read()
