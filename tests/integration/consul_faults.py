"""An upgrade under load that stops at a given moment of its first node, for tests of a failing Consul."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.consul_world import TTL
from tests.support.held_steps import MOMENTS, Moment, held
from tests.support.rollouts import (
    NEW,
    OLD,
    Run,
    Running,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    versions,
)
from tests.support.servers.consul import Agent

LONG = TTL + 3.0  # seconds: longer than the lock lasts without a renewal
RENEWAL = "/v1/session/renew/"
LOCK = "/v1/kv/rolldeck/shop/lock"


def moments(sample: Moment | None = None) -> pytest.MarkDecorator:
    """All moments of a node's turn; only the sample is one for `make test`."""
    cases = [
        moment if moment == sample else pytest.param(moment, marks=pytest.mark.long) for moment in MOMENTS
    ]
    return pytest.mark.parametrize("moment", cases)


@dataclass(slots=True)
class Upgrade:
    """An upgrade of web1 and web2, which is at a moment of web1's turn and stays there until `end`."""

    stack: Stack
    running: Running
    load: Load
    let_go: Callable[[], None]

    async def end(self) -> Run:
        """Let it go on, to its end."""
        self.let_go()
        return await self.running.end()

    async def assert_goes_on(self, agent: Agent) -> None:
        """Let it go on: it completes, and the lock was its own from the beginning to the end."""
        run = await self.end()
        assert run.code == 0, run.text
        assert run.ended["result"] == "healthy"
        await self.assert_all_is_new()
        [pair] = await agent.ask("GET", LOCK)
        assert "Session" not in pair
        assert pair["LockIndex"] == 1  # so often it was taken

    async def assert_resumed(self) -> None:
        """Finish what it has left."""
        run = await rolldeck(self.stack, "resume", "shop", "--yes")
        assert run.code == 0, run.text
        await self.assert_all_is_new()

    async def assert_all_is_new(self) -> None:
        """Everything upgraded and in rotation, and not one request has failed from the beginning on."""
        assert_nothing_failed(await self.load.stop(), at_least=50)
        assert await versions(self.stack) == {"web1": NEW, "web2": NEW}
        assert await out(self.stack) == {name: set() for name in self.stack.instances}

    async def assert_ended_after_the_node(self, run: Run, why: str) -> None:
        """What was begun is done, and nothing else was: nothing is out of rotation anywhere."""
        assert run.code == 1, run.text
        assert run.ended["result"] == "degraded"
        assert why in run.ended["reason"]
        assert (run.ended["upgraded"], run.ended["pending"]) == (["web1"], ["web2"])
        assert (run.ended["failed"], run.ended["interrupted"], run.ended["unreachable_balancers"]) == (
            [],
            [],
            [],
        )
        assert not [command for command in run.sent if "web2" in command[0] or "/web2 " in command[1]]
        assert told(self.stack, run) == await out(self.stack) == {"lb1": set(), "lb2": set()}
        assert await versions(self.stack) == {"web1": NEW, "web2": OLD}


@asynccontextmanager
async def upgrade_at(stack: Stack, moment: Moment) -> AsyncIterator[Upgrade]:
    """Begin it, under load, and wait until that moment is there."""
    async with (
        held(stack, moment) as let_go,
        Load(50, stack.frontends) as load,
        started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running,
    ):
        match moment:
            case "drain":  # it is out, and its sessions are waited for
                await running.event("waiting", node="web1", step=moment)
            case "stop" | "install" | "start":
                await running.event("command_started", node="web1", step=moment)
            case "verify":  # it runs, is out, and has yet to be healthy
                await running.event("waiting", node="web1", step=moment)
            case "bake":
                await running.event("waiting", node="web1", reason="baking")
        yield Upgrade(stack, running, load, let_go)


async def out(stack: Stack) -> dict[str, set[str]]:
    """Load balancers and the nodes that somebody has out there, as HAProxy says."""
    return {
        balancer: {name for name, server in servers.items() if server.admin or server.weight != 1}
        for balancer, servers in (await states(stack)).items()
    }


def told(stack: Stack, run: Run) -> dict[str, set[str]]:
    """The same, as the end of the run says."""
    places = [place for node in run.ended["out_of_rotation"] for place in node["servers"]]
    found: dict[str, set[str]] = {name: set() for name in stack.instances}
    for place in places:  # "shop/web1 on lb1: maint"
        server, _, rest = place.partition(" on ")
        found[rest.partition(":")[0]].add(server.removeprefix("shop/"))
    return found
