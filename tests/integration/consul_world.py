"""The demo's world with a real Consul that knows its nodes and load balancers, and has the lock."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from console.demo.stack import Stack
from tests.consuls import Agent, running_consul
from tests.integration.rollouts import tune, world

TTL = 10  # seconds: the shortest that Consul allows


@asynccontextmanager
async def consul_world(
    place: Path, *, acl: bool = False, **options: Any
) -> AsyncIterator[tuple[Stack, Agent]]:
    """Everything up; the configuration says where Consul is, and nothing of nodes and sockets."""
    async with running_consul(place.parent, acl=acl) as agent, world(place, **options) as stack:
        tune(stack, "apps.shop.rollout", bake=0.2)
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
ttl = {TTL}
delay = 0

[apps.shop.inventory]
kind = "consul"
service = "shop"
name = "id"
ssh = "meta:ssh"

[apps.shop.places]
kind = "consul-key"
key = "haproxy"
"""
    stack.config_path.write_text(text)
