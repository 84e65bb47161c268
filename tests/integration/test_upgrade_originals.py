"""Original states are restored exactly, and a node is found under every name that it has in HAProxy."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.rollouts import (
    DRAIN,
    MAINT,
    NEW,
    Run,
    State,
    admin_states,
    assert_nothing_failed,
    edit_haproxy,
    say,
    states,
    stop_load,
    tune,
    until_up,
    upgrade,
    versions,
    world,
)
from tests.support.servers.tcp_listener import listening
from tests.support.stacks import kill_application
from tests.support.wait import until

AGENT_ENABLED = 4  # in srv_agent_state


async def upgraded(stack: Stack, *arguments: str) -> Run:
    """Upgrade under a little load; nothing fails and every node has the new version."""
    async with Load(30, stack.frontends, slow_share=0) as load:
        run = await upgrade(stack, NEW, *arguments)
        report = await stop_load(load)
    assert run.code == 0, run.text
    assert_nothing_failed(report, at_least=20)
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
    return run


async def test_states_and_weights_come_back_on_each_load_balancer(place: Path) -> None:
    async with world(place, nodes=5) as stack:
        tune(stack, "apps.shop.rollout", min_available=1)
        await say(stack, "set server shop/web1 state maint")
        await say(stack, "set server shop/web2 weight 50")
        await say(stack, "set server shop/web3 state drain")
        await say(stack, "set server shop/web4 state maint", "lb1")
        before = await states(stack)
        run = await upgraded(stack)
        assert await states(stack) == before
    assert before["lb1"] == {
        "web1": State(MAINT, 1),
        "web2": State(0, 50),
        "web3": State(DRAIN, 1),
        "web4": State(MAINT, 1),
        "web5": State(0, 1),
    }
    assert before["lb2"] == before["lb1"] | {"web4": State(0, 1)}
    out = {node["node"]: (node["intentional"], node["commands"]) for node in run.ended["out_of_rotation"]}
    assert out == {"web1": (True, []), "web3": (True, []), "web4": (True, [])}


async def test_ready_puts_back_what_a_human_had_out(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        await say(stack, "set server shop/web1 state maint")
        run = await upgraded(stack, "--force-ready", "web1")
        assert run.ended["out_of_rotation"] == []
        assert await admin_states(stack) == {0}


async def test_a_node_in_two_backends_under_two_names(place: Path) -> None:
    async with two_backends(place, "check inter 100ms") as stack:
        run = await upgraded(stack)
        assert await admin_states(stack, "api") == {0}
    for state in ("drain", "maint", "ready"):
        for line in (f"set server shop/web1 state {state}", f"set server api/one state {state}"):
            assert sorted(where for where, sent in run.sent if sent == line) == ["lb1", "lb2"], line


async def test_servers_that_track_another(place: Path) -> None:
    async with two_backends(place, "track shop/{node}") as stack:
        run = await upgraded(stack)
        assert await admin_states(stack, "api") == {0}
    assert not [sent for _, sent in run.sent if "api/one health" in sent], "HAProxy refuses that"


@asynccontextmanager
async def two_backends(place: Path, options: str) -> AsyncIterator[Stack]:
    """web1 and web2 stand in the backend `api` too, as `one` and `two`."""
    names = {"web1": "one", "web2": "two"}
    async with world(place, nodes=2) as stack:
        lines = [
            f"    server {names[name]} 127.0.0.1:{node.port} {options.format(node=name)}\n"
            for name, node in stack.nodes.items()
        ]
        section = "\nbackend api\n    option httpchk GET /health\n" + "".join(lines)
        await edit_haproxy(stack, lambda text: f"{text}{section}")
        tune(stack, "apps.shop", backends=["shop", "api"])
        text = stack.config_path.read_text()
        for name, other in names.items():
            text = text.replace(
                f'ssh = "{name}"', f'ssh = "{name}", servers = ["shop/{name}", "api/{other}"]'
            )
        stack.config_path.write_text(text)
        await until_up(stack, "shop", "api")
        yield stack


async def test_nodes_are_found_by_address_and_port(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        await edit_haproxy(stack, lambda text: text.replace("server web", "server s-0"))
        tune(stack, "apps.shop", match="address")
        await until_up(stack, "shop")
        run = await upgraded(stack)
    drained = [sent for _, sent in run.sent if sent.endswith("state drain")]
    assert drained == [f"set server shop/s-0{number} state drain" for number in (1, 1, 2, 2)]


async def test_an_agent_check_cannot_put_a_node_back_too_early(place: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ready\n")
        await writer.drain()

    async with listening(answer) as port:
        line = f"default-server agent-check agent-port {port} agent-inter 50ms"
        async with world(place, nodes=2, backend_lines=[line]) as stack:
            run = await upgraded(stack)
            for instance in stack.instances.values():
                lines = (await instance.ask("show servers state shop")).splitlines()
                column = lines[1].removeprefix("# ").split().index("srv_agent_state")
                assert [int(row.split()[column]) & AGENT_ENABLED for row in lines[2:] if row] == [4, 4]
    commands = [sent for where, sent in run.sent if where == "lb1" and "shop/web1" in sent]
    assert commands[0] == "disable agent shop/web1"
    assert commands[-1] == "enable agent shop/web1"


async def test_without_the_gate_a_healthy_version_loses_nothing_either(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        tune(stack, "apps.shop.rollout", require_haproxy_checks=False)
        run = await upgraded(stack)
    assert not [sent for _, sent in run.sent if "health down" in sent]


async def test_the_trap_that_the_gate_is_for(place: Path) -> None:
    """`ready` out of maintenance sends live traffic to a dead application, on the word of an old check."""
    async with world(place, nodes=2, instances=1) as stack:
        # The first check that fails ends the trap, whatever `fall` is.
        await edit_haproxy(stack, lambda text: re.sub(r"\binter \d+ms", "inter 2s", text))
        await until_up(stack, "shop")
        await say(stack, "set server shop/web1 state maint")
        kill_application(stack.nodes["web1"])  # and gone: what reaches one that is dying is answered with 502
        async with Load(400, stack.frontends, slow_share=0) as load:

            async def clients_saw_it() -> bool:
                """Whether a client came before the next check; on a busy machine not each time."""
                await say(stack, "set server shop/web1 state maint")
                await say(stack, "set server shop/web1 state ready")
                await asyncio.sleep(0.5)
                return load.failed.total() > 0

            await until(clients_saw_it)
            report = await load.stop()
    assert {failure.problem for failure in report.failures} == {"503 Service Unavailable"}
