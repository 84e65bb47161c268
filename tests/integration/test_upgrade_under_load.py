"""The main promise: a rolling upgrade under load fails no request, by any connection to HAProxy."""

from pathlib import Path
from typing import Any

import pytest

from console.demo.load import Kind, Load
from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    admin_states,
    assert_nothing_failed,
    edit_haproxy,
    rolldeck,
    upgrade,
    versions,
    world,
)
from tests.support.servers.haproxy import oldest_and_newest_haproxy
from tests.support.wait import until

RATE = 60  # requests per second; half keep their connection, 2 % of them last 2 s


async def upgraded_under_load(stack: Stack, *arguments: str, rate: float = RATE) -> list[dict[str, Any]]:
    """Upgrade everything, hold it to the promise, and return the events."""
    async with Load(rate, stack.frontends) as load:
        run = await upgrade(stack, NEW, *arguments)
        report = await load.stop()
    assert run.code == 0, run.text
    assert_nothing_failed(report, at_least=round(rate))
    assert set(report.served) == {Kind(keep, slow) for keep in (True, False) for slow in (True, False)}
    assert run.ended["result"] == "healthy"
    assert sorted(run.ended["upgraded"]) == list(stack.nodes)
    assert run.ended["out_of_rotation"] == []
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
    assert await admin_states(stack) == {0}
    return run.events


async def test_four_nodes_behind_two_haproxies(place: Path) -> None:
    async with world(place, port_check_from="node", transport="ssh") as stack:
        events = await upgraded_under_load(stack, rate=200)
    order = [event["node"] for event in events if event["event"] == "node_upgraded"]
    assert order == ["web1", "web2", "web3", "web4"]
    done = [event["step"] for event in events if event["event"] == "step_done" and event["node"] == "web1"]
    assert done == ["drain", "stop", "install", "start", "verify"]


async def test_over_tcp(place: Path) -> None:
    """Over unix sockets it goes in all tests below."""
    async with world(place, port_check_from="node", nodes=2, transport="tcp") as stack:
        await upgraded_under_load(stack)


@pytest.mark.parametrize("binary", oldest_and_newest_haproxy())
async def test_every_version_of_haproxy(place: Path, binary: Path) -> None:
    async with world(place, nodes=2, haproxy=str(binary)) as stack:
        await upgraded_under_load(stack)


async def test_a_batch_of_two_works_side_by_side(place: Path) -> None:
    async with world(place, instances=1) as stack:
        events = await upgraded_under_load(stack, "--serial", "2")
    batches = [event["nodes"] for event in events if event["event"] == "batch_started"]
    assert batches == [["web1", "web2"], ["web3", "web4"]]
    moments = [
        (event["event"], event["node"])
        for event in events
        if event["event"] == "node_upgraded"
        or (event["event"] == "step_started" and event["step"] == "drain")
    ]
    assert sorted(moments[:2]) == [("step_started", "web1"), ("step_started", "web2")]


async def nothing_ramps(stack: Stack) -> bool:
    return (await rolldeck(stack, "status")).code == 0


async def test_slow_start_is_waited_for(place: Path) -> None:
    async with world(place, nodes=2, instances=1, backend_lines=["default-server slowstart 1s"]) as stack:
        await until(lambda: nothing_ramps(stack))  # the capacity that a plan counts on
        events = await upgraded_under_load(stack)
    reasons = [event["reason"] for event in events if event["event"] == "waiting"]
    assert any("slow start at" in reason for reason in reasons), reasons


async def test_servers_without_checks_go_by_their_own_health(place: Path) -> None:
    async with world(place, nodes=2, instances=1) as stack:
        await edit_haproxy(stack, lambda text: text.replace("default-server check", "default-server"))
        events = await upgraded_under_load(stack)
    sent = [event["command"] for event in events if event["event"] == "command_finished"]
    assert not any("health" in command for command in sent if command.startswith("set server")), (
        "it never recovers"
    )


async def test_a_second_run_has_nothing_to_do(place: Path) -> None:
    async with world(place, nodes=2, instances=1) as stack:
        assert (await upgrade(stack)).code == 0
        pids = {name: node.pid for name, node in stack.nodes.items()}
        again = await upgrade(stack)
        assert again.code == 0, again.text
        assert again.ended["upgraded"] == []
        assert not [command for _, command in again.sent if command.startswith("set ")]
        assert {name: node.pid for name, node in stack.nodes.items()} == pids
