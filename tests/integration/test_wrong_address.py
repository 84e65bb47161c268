"""HAProxy's server of one node has another node's address, on a real HAProxy; and a node that dies beside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.free_ports import free_port
from tests.support.rollouts import (
    DRAIN,
    MAINT,
    NEW,
    OLD,
    Run,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    until_up,
    untouched,
    versions,
    world,
)
from tests.support.stacks import kill_application

UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=3, instances=1) as made:
        yield made


async def move(stack: Stack, name: str, port: int) -> None:
    """As somebody who restores an old state file, or renumbers machines."""
    for instance in stack.instances.values():
        reply = await instance.ask(f"set server shop/{name} addr 127.0.0.1 port {port}")
        assert "port changed" in reply, reply


def words(run: Run) -> str:
    return " ".join(run.text.split())


async def test_swapped_machines_are_refused_before_anything_is_touched(stack: Stack) -> None:
    one, two, three = (stack.nodes[name].port for name in ("web1", "web2", "web3"))
    await move(stack, "web1", two)
    await move(stack, "web2", one)
    await until_up(stack, "shop")
    before = await untouched(stack)
    wrong = f"shop/web1 on lb1 has the address 127.0.0.1:{two}, which is that of web2"
    for arguments in (
        ("check", "shop"),
        ("upgrade", "shop", NEW, "--yes"),
        ("maint", "shop", "web1", "--yes"),
    ):
        run = await rolldeck(stack, *arguments)
        assert run.code == 3, run.text
        assert wrong in words(run)
    assert await untouched(stack) == before
    assert set((await versions(stack)).values()) == {OLD}

    await move(stack, "web1", one)
    await move(stack, "web2", two)
    nobody = free_port()
    await move(stack, "web3", nobody)
    run = await rolldeck(stack, "check", "shop")
    assert (
        f"shop/web3 on lb1 has the address 127.0.0.1:{nobody}, the inventory says 127.0.0.1:{three}:"
        " is it the same machine?"
    ) in words(run)
    assert "which is that of" not in words(run)


async def failed_by_a_move(stack: Stack, server: str, port: int, event: str, **fields: str) -> Run:
    """An upgrade in which a server leads to this port from that event of web1 on; no request is lost."""
    async with Load(40, stack.frontends) as load:
        async with started(stack, *UPGRADE) as running:
            await running.event(event, node="web1", **fields)
            await move(stack, server, port)
            run = await running.end()
        report = await load.stop()
    assert run.code == 1, run.text
    assert_nothing_failed(report)
    return run


async def test_an_address_that_was_set_since_the_plan_fails_the_node_untouched(stack: Stack) -> None:
    three = stack.nodes["web3"].port
    run = await failed_by_a_move(stack, "web2", three, "step_started", step="stop")
    assert (run.ended["upgraded"], run.ended["held"]) == (["web1"], ["web2"])
    [failed] = [event for event in run.events if event["event"] == "node_failed"]
    assert f"has the address 127.0.0.1:{three}, which is that of web3" in failed["error"]
    assert not failed["touched"]
    assert await versions(stack) == {"web1": NEW, "web2": OLD, "web3": OLD}
    assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}


async def test_a_line_that_leads_to_another_machine_by_now_is_not_put_back(stack: Stack) -> None:
    """Proven and put back, it would send its clients to the next node even while that one is stopped."""
    two = stack.nodes["web2"].port
    run = await failed_by_a_move(stack, "web1", two, "step_started", step="install")
    assert (run.ended["failed"], run.ended["pending"]) == (["web1"], ["web2", "web3"])
    [failed] = [event for event in run.events if event["event"] == "node_failed"]
    assert f"shop/web1 on lb1 has the address 127.0.0.1:{two}, which is that of web2" in failed["error"]
    assert (await states(stack))["lb1"]["web1"].admin == MAINT


async def test_a_node_is_not_taken_out_while_another_line_leads_to_it(stack: Stack) -> None:
    two = stack.nodes["web2"].port
    run = await failed_by_a_move(stack, "web1", two, "baked")
    assert (run.ended["upgraded"], run.ended["held"]) == (["web1"], ["web2"])
    [failed] = [event for event in run.events if event["event"] == "node_failed"]
    assert "backend shop has the node web2 (as web1) too (on lb1), which is not drained" in failed["error"]
    assert not failed["touched"]
    assert (await versions(stack))["web2"] == OLD


async def test_a_node_that_dies_during_the_turn_of_another_stops_new_drains(stack: Stack) -> None:
    async with started(stack, *UPGRADE) as running:
        await running.event("step_started", node="web1", step="stop")
        kill_application(stack.nodes["web3"])
        waiting = await running.event("waiting", node="web2", step="drain")
        run = await running.end()
    fell = "web3 fell out of rotation during the upgrade of web1: DOWN L4CON on lb1"
    assert waiting["reason"] == fell
    assert run.code == 1, run.text
    assert (run.ended["upgraded"], run.ended["held"]) == (["web1"], ["web2"])
    [failed] = [event for event in run.events if event["event"] == "node_failed"]
    assert failed["error"] == f"capacity to take it out: not within 2 s; last seen: {fell}"
    assert not [line for _, line in run.sent if "shop/web2" in line]
    assert [out["node"] for out in run.ended["out_of_rotation"]] == ["web3"]
    assert not any(state.admin & (MAINT | DRAIN) for state in (await states(stack))["lb1"].values())
