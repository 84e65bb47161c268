"""Two machines on one Consul with a key: signed values are accepted, others are ignored and reported."""

import base64
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.consul.signing import Signer, open_value
from backends.secrets import Secret
from console.demo.stack import Stack
from tests.support import forged
from tests.support.consul_world import consul_world, elsewhere, far_away, killed
from tests.support.held_steps import held
from tests.support.rollouts import NEW, OLD, rolldeck, started, tune, versions
from tests.support.servers.consul import Agent, needs_consul

pytestmark = needs_consul

KEY = "0123456789abcdef0123456789abcdef"
OURS = Signer(Secret(KEY), "rolldeck/shop")
ROLLOUT = "/v1/kv/rolldeck/shop/rollout"


def give_key(stack: Stack, key: str = KEY) -> None:
    file = stack.directory / "signing-key"
    file.write_text(key)
    file.chmod(0o600)
    tune(stack, "consul", signing_key_file=str(file))


@asynccontextmanager
async def signed_world(place: Path) -> AsyncIterator[tuple[Stack, Agent]]:
    async with consul_world(place, nodes=2) as (stack, agent):
        give_key(stack)
        yield stack, agent


async def published(agent: Agent) -> bytes:
    [pair] = await agent.ask("GET", ROLLOUT)
    return base64.b64decode(pair["Value"])


async def put(agent: Agent, value: bytes, key: str = "rolldeck/shop/rollout") -> None:
    consul = Consul(ConsulSettings(address=agent.address))
    try:
        assert await consul.put(key, value)
    finally:
        await consul.close()


async def free(agent: Agent) -> None:
    """The lock of one that was killed, as if its time were over."""
    for session in await agent.ask("GET", "/v1/session/list"):
        await agent.ask("PUT", f"/v1/session/destroy/{session['ID']}")


async def test_what_is_signed_is_followed_asked_and_taken_over(tmp_path: Path) -> None:
    async with signed_world(tmp_path / "s") as (stack, agent):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="drain")
            [lock] = await agent.ask("GET", "/v1/kv/rolldeck/shop/lock")
            assert open_value(OURS, "lock", base64.b64decode(lock["Value"]), lock["Session"]).verified
            assert open_value(OURS, "publication", await published(agent)).verified
            with elsewhere(stack):
                assert (await rolldeck(stack, "control", "shop", "pause")).code == 0
                paused = await first.event("paused")
                assert (paused["via"], paused["credential"].split(",")[0]) == (
                    "consul",
                    "signed with our key",
                )
                await put(agent, b'{"what": "abort", "who": "eve"}', "rolldeck/shop/requests/1")
                assert "it is not signed" in (await first.event("node_note", node=""))["text"]
            first.signal(signal.SIGKILL)
            await first.end()
        with elsewhere(stack):  # what it has left is known before its lock has run out
            run = await far_away(stack, "resume", "shop", "--yes", "--break-lock")
        assert run.code == 0, run.text
        assert "taken over from" in run.text
        assert KEY not in run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_what_is_not_signed_is_ignored_and_named(tmp_path: Path) -> None:
    async with signed_world(tmp_path / "s") as (stack, agent):
        await put(agent, Signer(Secret(KEY), "rolldeck/bank").sign("publication", b"x"))
        run = await rolldeck(stack, "resume", "shop", "--yes")
        assert "its signature is not that of" in run.text
        assert "Traceback" not in run.text
        await put(agent, forged.packed(forged.publication()))
        run = await rolldeck(stack, "resume", "shop", "--yes")
        assert run.code == 0, run.text
        assert "it is not signed" in run.text
        assert "--trust-published takes it over anyway" in run.text
        assert "nothing to resume" in run.text
        assert (await rolldeck(stack, "control", "shop", "abort")).code == 3
        run = await rolldeck(stack, "resume", "shop", "--yes", "--trust-published")
        assert "taken over from ann@far" in run.text


async def test_an_old_state_that_was_signed_is_not_that_of_now(tmp_path: Path) -> None:
    """Whoever can write there brings back an earlier rollout, which would bring back its version."""
    async with signed_world(tmp_path / "s") as (stack, agent):
        await killed(stack)
        old = await published(agent)
        await free(agent)
        assert (await rolldeck(stack, "resume", "shop", "--yes")).code == 0
        with elsewhere(stack):
            assert (await far_away(stack, "upgrade", "shop", OLD, "--yes")).code == 0
            await put(agent, old)
            run = await far_away(stack, "resume", "shop", "--yes")
        assert "nothing to resume" in run.text
        assert "was signed under fence 1, and this machine has seen 3" in run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_who_cannot_be_verified_has_the_lock_all_the_same(tmp_path: Path) -> None:
    async with signed_world(tmp_path / "s") as (stack, agent):
        holder: dict[str, Any] = {"operator": "eve@far", "host": "far", "pid": 1, "since": 1.0, "what": "x"}
        consul = Consul(ConsulSettings(address=agent.address))
        session = await consul.begin_session("theirs", 60, 0)
        replayed = OURS.sign("lock", json.dumps(holder).encode(), "a session of before")
        for value in (json.dumps(holder).encode(), replayed):
            assert await consul.put("rolldeck/shop/lock", value, acquire=session)
            run = await rolldeck(stack, "upgrade", "shop", NEW, "--yes")
            assert run.code == 3, run.text
            assert "an unverified operator" in run.text
        run = await rolldeck(stack, "upgrade", "shop", NEW, "--yes", "--break-lock")
        assert run.code == 0, run.text
        await consul.close()


@pytest.mark.long
async def test_without_a_key_somebody_has_to_say_that_it_is_to_be_believed(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        await killed(stack)
        await free(agent)
        with elsewhere(stack):
            run = await far_away(stack, "resume", "shop", "--yes")
            assert run.code == 3, run.text
            assert "it comes from Consul unauthenticated" in run.text
            assert "--trust-published, besides --yes, takes it over" in run.text
            assert await versions(stack) != dict.fromkeys(stack.nodes, NEW)
            run = await far_away(stack, "resume", "shop", "--yes", "--trust-published")
        assert run.code == 0, run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


@pytest.mark.long
async def test_one_with_a_key_and_one_without_do_not_work_at_once(tmp_path: Path) -> None:
    """The lock holds between them; what the other has published is read by the one without a key only."""
    async with signed_world(tmp_path / "s") as (stack, _), held(stack, "start") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first:
            await first.event("step_started", node="web1", step="start")
            with elsewhere(stack):
                tune(stack, "consul", signing_key_file="")
                run = await far_away(stack, "upgrade", "shop", NEW, "--yes")
                assert run.code == 3, run.text
                assert f"(process {first.process.pid} on " in run.text
                asked = await rolldeck(stack, "control", "shop", "pause")
                assert asked.code == 1, asked.text
                assert "not accepted within" in asked.text
                assert "it is not signed" in (await first.event("node_note", node=""))["text"]
                let_go()
                followed = await rolldeck(stack, "follow", "shop")
                assert followed.code == 0, followed.text
            assert (await first.end()).code == 0
