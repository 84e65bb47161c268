"""The ACL rules of docs/least-rights.md, on a real Consul that denies by default.

Each use works with its rules, and not with one of them less, or with reading where it says writing.
"""

import asyncio
import re
import shlex
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backends.consul.catalog import ConsulService, instances
from backends.consul.client import Consul
from backends.consul.settings import TOKEN_ENV, ConsulSettings
from backends.errors import BackendError, ConfigError, PermissionDenied
from console.demo.stack import Stack
from orchestrator.errors import Locked
from tests.integration.in_process import refusal
from tests.support.consul_world import consul_world, elsewhere
from tests.support.guide import blocks
from tests.support.held_steps import held
from tests.support.rollouts import NEW, Run, rolldeck, started, tune
from tests.support.servers.consul import CONSUL, Agent, needs_consul, running_consul

pytestmark = needs_consul

AGENT = (
    "here"  # the node that tests.support.servers.consul runs its agent as; the guide calls them ops1 and web1
)
_POLICY = re.compile(r'# policy "rolldeck-([\w-]+)"\n(.*)', re.DOTALL)


def rules(*policies: str) -> list[str]:
    """The rules that the guide gives for these policies."""
    known = {found[1]: found[2] for text in blocks("hcl") if (found := _POLICY.fullmatch(text))}
    text = "".join(known[policy] for policy in policies)
    return text.replace('"ops1"', f'"{AGENT}"').replace('"web1"', f'"{AGENT}"').splitlines()


def fewer(policy: str) -> Iterator[list[str]]:
    """The same with one of them less, and with one that only reads where it writes."""
    every = rules(policy)
    for place, rule in enumerate(every):
        yield [*every[:place], *every[place + 1 :]]
        if '"write"' in rule:
            yield [*every[:place], rule.replace('"write"', '"read"'), *every[place + 1 :]]


async def token(agent: Agent, given: Sequence[str]) -> str:
    """A new token that may do this, and nothing more."""
    policy = {"Name": uuid.uuid4().hex, "Rules": "\n".join(given)}
    made = await agent.ask("PUT", "/v1/acl/policy", policy)
    created: dict[str, str] = await agent.ask("PUT", "/v1/acl/token", {"Policies": [{"ID": made["ID"]}]})
    return created["SecretID"]


async def run(
    stack: Stack, agent: Agent, monkeypatch: pytest.MonkeyPatch, given: Sequence[str], *arguments: str
) -> Run:
    """Run `rolldeck` with a token that may do this."""
    monkeypatch.setenv(TOKEN_ENV, await token(agent, given))
    return await rolldeck(stack, *arguments)


async def client(agent: Agent, monkeypatch: pytest.MonkeyPatch, given: Sequence[str]) -> Consul:
    """As `rolldeck` would ask with a token that may do this."""
    variable = f"TOKEN_{uuid.uuid4().hex}"
    monkeypatch.setenv(variable, await token(agent, given))
    return Consul(ConsulSettings(address=agent.address, token_env=variable))


async def test_nodes_and_load_balancers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with consul_world(tmp_path / "s", acl=True, nodes=2) as (stack, agent):
        tune(stack, "lock", kind="local")
        planned = await run(stack, agent, monkeypatch, rules("inventory", "places"), "plan", "shop", NEW)
        assert planned.code == 0, planned.text
        for less in fewer("inventory"):
            monkeypatch.setenv(TOKEN_ENV, await token(agent, [*less, *rules("places")]))
            blind = await refusal(stack, "plan", "shop", NEW)
            assert isinstance(blind, ConfigError)
            # Consul leaves out what may not be seen, and does not say so.
            assert "no instance of service 'shop' with these tags, or the token may not see any" in str(blind)
        refused = await run(stack, agent, monkeypatch, rules("inventory"), "plan", "shop", NEW)
        assert refused.code == 1, refused.text
        assert "key haproxy: permission denied; the token lacks a policy for it" in refused.text


async def test_load_balancers_from_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_consul(tmp_path, acl=True) as agent:
        await agent.register("haproxy", "lb1", 9999)
        for given, seen in ((rules("places-service"), 1), *((less, 0) for less in fewer("places-service"))):
            consul = await client(agent, monkeypatch, given)
            _, found = await instances(consul, ConsulService(service="haproxy"))
            await consul.close()
            assert len(found) == seen, given


async def test_who_works_who_follows_and_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with consul_world(tmp_path / "s", acl=True, nodes=2) as (stack, agent):
        seeing = rules("inventory", "places")
        lacking = list(fewer("work"))
        for less in lacking:
            monkeypatch.setenv(TOKEN_ENV, await token(agent, [*seeing, *less]))
            locked = await refusal(stack, "upgrade", "shop", NEW, "--yes")
            assert isinstance(locked, Locked)
            assert "permission denied; the token lacks a policy for it" in str(locked)
        refused = await run(
            stack, agent, monkeypatch, [*seeing, *lacking[0]], "upgrade", "shop", NEW, "--yes"
        )
        assert refused.code == 3, refused.text
        assert "no changes made" in refused.text
        assert "permission denied; the token lacks a policy for it" in refused.text
        monkeypatch.setenv(TOKEN_ENV, await token(agent, [*seeing, *rules("work")]))
        async with (
            held(stack, "stop") as let_go,
            started(stack, "upgrade", "shop", NEW, "--yes", "--json") as first,
        ):
            await first.event("step_started", node="web1", step="stop")
            with elsewhere(stack):
                monkeypatch.setenv(TOKEN_ENV, await token(agent, rules("follow")))
                async with started(stack, "follow", "shop", "--json") as second:
                    await second.event("step_started", node="web1", step="stop")
                    for given, what in (
                        (rules("control"), "key rolldeck/shop/rollout: permission denied"),
                        *(
                            (rules("follow") + less, "requests/.*: permission denied")
                            for less in fewer("control")
                        ),
                    ):
                        monkeypatch.setenv(TOKEN_ENV, await token(agent, given))
                        denied = await refusal(stack, "control", "shop", "pause")
                        assert isinstance(denied, BackendError)
                        assert re.search(what, str(denied))
                    asked = await run(
                        stack, agent, monkeypatch, rules("follow", "control"), "control", "shop", "pause"
                    )
                    assert asked.code == 0, asked.text
                    await first.event("paused")
                    asked = await run(
                        stack, agent, monkeypatch, rules("follow", "control"), "control", "shop", "resume"
                    )
                    assert asked.code == 0, asked.text
                    let_go()
                    followed = await second.end()
            done = await first.end()
        assert (done.code, followed.code) == (0, 0), done.text + followed.text
        monkeypatch.setenv(TOKEN_ENV, await token(agent, []))
        blind = await refusal(stack, "follow", "shop")
        assert isinstance(blind, BackendError)
        assert "key rolldeck/shop/rollout: permission denied" in str(blind)


async def test_who_asks_cannot_write_what_others_believe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a lock nor a rollout, nor end the session of whoever works on another machine."""
    async with running_consul(tmp_path, acl=True) as agent:
        session = (await agent.ask("PUT", "/v1/session/create", {"TTL": "10s"}))["ID"]
        asking = await client(agent, monkeypatch, rules("inventory", "places", "follow", "control"))
        for key in ("rolldeck/shop/lock", "rolldeck/shop/rollout", "haproxy", "versions/shop/web1"):
            with pytest.raises(PermissionDenied, match="the token lacks a policy for it"):
                await asking.put(key, b"{}")
        working = await client(agent, monkeypatch, [rule.replace(AGENT, "other") for rule in rules("work")])
        for consul in (asking, working):
            with pytest.raises(PermissionDenied, match="end the session"):
                await consul.end_session(session)
            await consul.close()


async def test_versions_and_maintenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with consul_world(tmp_path / "s", acl=True, nodes=2) as (stack, agent):
        command = f"{CONSUL} maint -http-addr={agent.address} -token-file={tmp_path}/token"
        tune(stack, "consul", version_key="versions/{app}/{node}")
        tune(stack, "apps.shop.inventory", maintenance=command)

        async def gives(given: Sequence[str]) -> None:
            (tmp_path / "token").write_text(await token(agent, given))

        working = rules("inventory", "places", "work", "versions")
        await gives(rules("maintenance"))
        done = await run(stack, agent, monkeypatch, working, "upgrade", "shop", NEW, "--yes")
        assert done.code == 0, done.text
        assert "not written to Consul" not in done.text
        assert len(await agent.ask("GET", "/v1/kv/versions/shop/?keys=true")) == 2

        for less in fewer("versions"):
            consul = await client(agent, monkeypatch, less)
            with pytest.raises(PermissionDenied, match="set versions/shop/web1: permission denied"):
                await consul.put("versions/shop/web1", NEW.encode())
            await consul.close()
        for less in fewer("maintenance"):
            await gives(less)
            if not any(rule.startswith("agent") for rule in less):
                refused = await run(stack, agent, monkeypatch, working, "upgrade", "shop", "1.4.2", "--yes")
                assert refused.code == 3, refused.text
                assert "maintenance in Consul cannot be set" in refused.text
                continue
            process = await asyncio.create_subprocess_exec(
                *shlex.split(command), "-service=web1", "-enable", stderr=asyncio.subprocess.PIPE
            )
            _, said = await process.communicate()
            assert process.returncode == 1
            assert b"Permission denied" in said
