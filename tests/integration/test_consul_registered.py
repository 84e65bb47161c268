"""Consul's maintenance mode follows HAProxy's, and its checks can be required, on a real agent."""

import signal
from pathlib import Path
from typing import Any

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.consul_world import consul_world
from tests.support.held_steps import held
from tests.support.rollouts import (
    MAINT,
    NEW,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    tune,
    upgrade,
    versions,
)
from tests.support.servers.consul import CONSUL, Agent, needs_consul

pytestmark = needs_consul

HUMAN = "ann looks for a leak"


def follow(stack: Stack, agent: Agent, **settings: Any) -> None:
    """From now on Consul follows what is done."""
    command = f"{CONSUL} maint -http-addr={agent.address}"
    tune(stack, "apps.shop.inventory", **{"maintenance": command, **settings})


async def in_maintenance(agent: Agent) -> dict[str, str]:
    """Nodes in maintenance in Consul, and why, as its servers say."""
    checks = [
        check for entry in await agent.ask("GET", "/v1/health/service/shop") for check in entry["Checks"]
    ]
    prefix = "_service_maintenance:"
    return {check["ServiceID"]: check["Notes"] for check in checks if check["CheckID"].startswith(prefix)}


async def set_by_human(agent: Agent, node: str) -> None:
    path = f"/v1/agent/service/maintenance/{node}?enable=true&reason={HUMAN.replace(' ', '+')}"
    await agent.ask("PUT", path)


async def set_check(agent: Agent, stack: Stack, node: str, status: str) -> None:
    """A check that says what it is told, for an hour."""
    check = {"CheckID": f"word-{node}", "Name": "word", "TTL": "1h", "Status": status}
    await agent.register("shop", node, stack.nodes[node].port, Meta={"ssh": node}, Check=check)
    await agent.ask("PUT", f"/v1/agent/check/update/word-{node}", {"Status": status})


async def test_a_node_is_out_in_consul_while_it_is_worked_on_and_what_a_human_set_stays(
    tmp_path: Path,
) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        follow(stack, agent)
        await set_by_human(agent, "web2")
        planned = await rolldeck(stack, "plan", "shop", NEW)
        assert f"is in maintenance in Consul now, and is left there: {HUMAN}" in planned.text
        assert "-service=web1 -enable" in planned.text
        assert "-service=web2" not in planned.text
        async with held(stack, "stop") as let_go:
            async with (
                Load(50, stack.frontends, slow_share=0) as load,
                started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running,
            ):
                await running.event("step_started", node="web1", step="stop")
                assert await in_maintenance(agent) == {"web1": "Rolldeck rollout", "web2": HUMAN}
                let_go()
                run = await running.end()
                report = await load.stop()
        assert run.code == 0, run.text
        assert_nothing_failed(report)
        assert await in_maintenance(agent) == {"web2": HUMAN}
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        asked = [
            (command[0], command[1].split("-service=")[1])
            for command in run.sent
            if "-service=" in command[1]
        ]
        assert asked == [
            ("web1", f"web1 {what}") for what in ("-enable '-reason=Rolldeck rollout'", "-disable")
        ]


async def test_what_a_killed_rollout_has_left_in_consul_is_named_and_ended(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        follow(stack, agent)
        tune(stack, "lock", kind="local")
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            running.signal(signal.SIGKILL)
            await running.end()
        assert await in_maintenance(agent) == {"web1": "Rolldeck rollout"}
        looked = await rolldeck(stack, "check", "shop")
        assert "is in maintenance in Consul since an earlier rollout" in looked.text
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        assert resumed.code == 0, resumed.text
        assert await in_maintenance(agent) == {}


async def test_one_that_is_back_in_haproxy_alone_is_not_done(tmp_path: Path) -> None:
    """Killed between the two: everything is right but Consul."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        follow(stack, agent)
        path = "/v1/agent/service/maintenance/web1?enable=true&reason=Rolldeck+rollout"
        await agent.ask("PUT", path)
        run = await upgrade(stack, "1.4.2")
        assert run.code == 0, run.text
        assert run.ended["upgraded"] == ["web1"]
        assert await in_maintenance(agent) == {}


async def test_a_check_of_consul_that_does_not_pass_keeps_a_node_out(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        follow(stack, agent, require_consul_checks="passing")
        tune(stack, "apps.shop.rollout", verify_timeout=2)
        await set_check(agent, stack, "web1", "warning")
        run = await upgrade(stack)
        assert run.code == 1, run.text
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert failed["step"] == "verify"
        assert "Consul: word is warning" in failed["error"]
        [out] = run.ended["out_of_rotation"]
        assert out["node"] == "web1"
        assert "Consul: maintenance" in out["servers"]
        assert any(command["text"].endswith("-service=web1 -disable") for command in out["commands"])
        for servers in (await states(stack)).values():
            assert {name: server.admin for name, server in servers.items()} == {"web1": MAINT, "web2": 0}
        assert await in_maintenance(agent) == {"web1": "Rolldeck rollout"}

        tune(stack, "apps.shop.inventory", require_consul_checks="warning")
        assert out["commands"][0]["text"] == "rolldeck ready shop web1"
        ready = await rolldeck(stack, "ready", "shop", "web1", "--yes")
        assert ready.code == 0, ready.text
        assert await in_maintenance(agent) == {}
        await set_check(agent, stack, "web2", "critical")
        run = await upgrade(stack)
        assert run.code == 1, run.text
        assert "Consul: word is critical" in run.text
        await set_check(agent, stack, "web2", "passing")
        assert (await rolldeck(stack, "resume", "shop", "--yes")).code == 0
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert await in_maintenance(agent) == {}


async def test_by_hand_it_goes_along_too_and_a_rollout_leaves_that_so(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, agent):
        follow(stack, agent)
        tune(stack, "apps.shop.rollout", min_available=1)
        for action in ("drain", "ready", "maint"):
            done = await rolldeck(stack, action, "shop", "web1", "--yes")
            assert done.code == 0, done.text
            assert ("back in Consul too" if action == "ready" else "out in Consul too") in done.text
            reasons = {} if action == "ready" else {"web1": "Rolldeck by hand"}
            assert await in_maintenance(agent) == reasons
        run = await upgrade(stack)
        assert run.code == 0, run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert await in_maintenance(agent) == {"web1": "Rolldeck by hand"}


async def test_where_it_could_not_be_set_nothing_begins(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        for command, why in (
            ("/no/such/consul maint", "/no/such/consul"),
            (f"{CONSUL} maint -http-addr=127.0.0.1:1", "connection refused"),
        ):
            follow(stack, agent, maintenance=command)
            run = await upgrade(stack)
            assert run.code == 3, run.text
            assert "maintenance in Consul cannot be set" in run.text
            assert why in run.text
        assert await versions(stack) == {"web1": "1.4.2", "web2": "1.4.2"}
