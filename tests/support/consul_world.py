"""The demo's world with a real Consul that knows its nodes and load balancers, and has the lock."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from console.demo.stack import Stack
from tests.support.rollouts import NEW, ROLLDECK, Run, started, tune, world
from tests.support.servers.consul import Agent, running_consul

TTL = 10  # seconds of the session: the shortest that Consul allows
LOCK_TTL = 2 * TTL + 1  # within which another takes over


@asynccontextmanager
async def consul_world(
    place: Path, *, acl: bool = False, keeps: bool = False, **options: Any
) -> AsyncIterator[tuple[Stack, Agent]]:
    """Everything up; the configuration says where Consul is, and nothing of nodes and sockets."""
    async with running_consul(place.parent, acl=acl, keeps=keeps) as agent, world(place, **options) as stack:
        tune(stack, "apps.shop.rollout", bake_time=0.2)
        await tell(stack, agent)
        use(stack, agent)
        yield stack, agent


async def tell(stack: Stack, agent: Agent) -> None:
    """Register the nodes, and write down where the load balancers are."""
    for name, node in stack.nodes.items():
        await agent.register("shop", name, node.port, Meta={"ssh": name})
    places = {name: f"unix://{instance.socket}" for name, instance in stack.instances.items()}
    await agent.ask("PUT", "/v1/kv/haproxy", json.dumps({"shop": places, "other": "elsewhere"}))


def use(stack: Stack, agent: Agent) -> None:
    """Take nodes and load balancers out of the configuration, and Consul in."""
    text = stack.config_path.read_text()
    text = re.sub(r"\[haproxy\.\w+\]\nsocket = .*\n", "", text)
    text = re.sub(r"\[apps\.shop\.nodes\]\n(.+\n)+", "", text)
    text += f"""
[consul]
address = "{agent.address}"
timeout = 1

[lock]
kind = "consul"
ttl = {LOCK_TTL}
lock_delay = 0

[apps.shop.inventory]
kind = "consul"
service = "shop"
name = "id"
ssh = "meta:ssh"

[apps.shop.load_balancers]
kind = "consul-key"
key = "haproxy"
schemes = ["unix"]
"""
    stack.config_path.write_text(text)


@contextmanager
def elsewhere(stack: Stack) -> Iterator[None]:
    """What is started within is on another machine, as far as its journal and its lock file tell."""
    here = stack.directory / "journal.db"
    tune(stack, "journal", path=str(stack.directory / "elsewhere" / "journal.db"))
    try:
        yield
    finally:
        tune(stack, "journal", path=str(here))


async def far_away(stack: Stack, *arguments: str) -> Run:
    """Run `rolldeck` where process ids mean something else, as they do on another machine."""
    command = (
        *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", ROLLDECK),
        *("--config", str(stack.config_path), *arguments),
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Run(process.returncode or 0, out.decode(), err.decode())


async def lock_runs_out(agent: Agent) -> None:
    """Wait until Consul itself has ended the session of whoever has the lock. Raises TimeoutError."""
    index = 0
    async with asyncio.timeout(2 * TTL + 40):
        while True:
            [pair] = await agent.ask("GET", f"/v1/kv/rolldeck/shop/lock?index={index}&wait=4s")
            if "Session" not in pair:
                return
            index = pair["ModifyIndex"]


async def killed(stack: Stack) -> int:
    """Kill an upgrade in the middle; returns which process it was."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("step_started", node="web1", step="start")
        running.signal(signal.SIGKILL)
        await running.end()
        return running.process.pid
