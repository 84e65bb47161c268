"""Servers that an agent check keeps out, and a weight of zero: what `status` and an end say of them."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

from tests.integration.test_status import told
from tests.support.rollouts import (
    DRAIN,
    NEW,
    edit_haproxy,
    rolldeck,
    say,
    started,
    states,
    tune,
    until_up,
    world,
)
from tests.support.servers.tcp_listener import listening
from tests.support.wait import until


async def test_an_agent_check_may_be_who_keeps_a_server_out(tmp_path: Path) -> None:
    """HAProxy does not tell it from an operator, and nothing that is typed makes it say something else."""
    says = {"web2": b"up\n", "web3": b"up\n"}
    lines: dict[str, str] = {}
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(world(tmp_path / "s", nodes=3, instances=1))
        tune(stack, "apps.shop.rollout", min_available=1, capacity_timeout=1)
        for name in says:

            async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name) -> None:
                await asyncio.sleep(0.1)  # HAProxy has no words of it as long as it is asking
                writer.write(says[name])
                await writer.drain()

            port = await exits.enter_async_context(listening(answer))
            lines[name] = rf"\1 agent-check agent-port {port} agent-inter 400ms"

        def edit(text: str) -> str:
            for name, line in lines.items():
                text = re.sub(rf"(server {name} \S+)", line, text)
            return text

        await edit_haproxy(stack, edit)
        await until_up(stack, "shop")
        says["web3"] = b"drain\n"
        await say(stack, "set server shop/web1 weight 0")

        async def drained() -> bool:
            return (await states(stack))["lb1"]["web3"].admin == DRAIN

        await until(drained)
        text = await rolldeck(stack, "status")
        _, kinds = await told(stack)
        whose = r"web3 \(shop\) is kept out by somebody else, or its agent check, since \S+, untouched: lb1"
        assert re.search(whose, text.out), text.out
        assert "web1 (shop) is kept out by somebody else, untouched: lb1: ready, weight 0\n" in text.out
        assert [(kept["server"], kept["by_agent"]) for kept in kinds["kept_out"]] == [
            ("web1", False),
            ("web3", True),
        ]

        says["web3"] = b"ready\n"
        await say(stack, "set server shop/web1 weight 1")
        await until_up(stack, "shop")
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="stop")
            says["web3"] = b"down # disk full\n"
            run = await running.end()
        [out] = run.ended["out_of_rotation"]
        assert (out["node"], out["commands"]) == ("web3", [])
        assert out["not_ready"] == "down by its agent check: down (disk full)"
