"""Which nodes there are, while load balancers answer late, or not at all; in virtual time."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from backends.errors import ConfigError
from backends.model import Server, Snapshot
from console.config.config_file import parse
from orchestrator.balancers.group import BalancerGroup
from orchestrator.inventory.resolver import STRAGGLER_WAIT_S, InventoryResolver, NodeSpec
from orchestrator.inventory.source import NodeSettings
from orchestrator.node import Node
from tests.support.console_values import raw, server
from tests.support.fake_balancer import FakeBalancer

HANG = 5.0  # seconds until one that hangs is given up


class Answers(FakeBalancer):
    """Answers after so many seconds with these servers; without any it fails then."""

    def __init__(self, name: str, after: float, *servers: Server) -> None:
        super().__init__(name)
        self.after = after
        self.asked = 0
        self.shown = servers
        self.down = not servers

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        self.asked += 1
        await asyncio.sleep(self.after)
        return replace(self.seen(), servers=self.shown)


class Desk:
    """A resolver, and what was built for it."""

    def __init__(self, *balancers: Answers, **app: Any) -> None:
        self.built: list[str] = []
        self.slow = 0.0  # seconds that building takes
        settings = parse(raw(**app), "f").app("shop")
        balancer_group = BalancerGroup(balancers, ["shop"])
        self.resolver = InventoryResolver(
            settings.nodes, balancer_group, self._build, "f", "apps.shop.nodes", settings.port
        )

    async def _build(self, places: Sequence[NodeSpec]) -> Sequence[Node]:
        self.built += [node.name for node in places]
        await asyncio.sleep(self.slow)
        return cast("Sequence[Node]", places)

    async def first(self) -> tuple[list[str], float]:
        """The names, and when they were known."""
        return [node.name for node in await self.resolver.first_known()], asyncio.get_running_loop().time()

    async def whole(self) -> tuple[list[str], float]:
        return [node.name for node in await self.resolver.all_nodes()], asyncio.get_running_loop().time()


@pytest.mark.virtual_time
async def test_nobody_is_asked_when_the_configuration_says_it_all() -> None:
    lb1 = Answers("lb1", HANG)
    desk = Desk(lb1, port=80, nodes={"web1": {"address": "10.0.0.1"}, "web2": {"address": "10.0.0.2"}})
    assert await desk.first() == (["web1", "web2"], 0.0)
    assert await desk.whole() == (["web1", "web2"], 0.0)
    assert lb1.asked == 0


@pytest.mark.virtual_time
async def test_one_that_hangs_keeps_the_others_waiting_for_the_grace_only() -> None:
    lb1, lb2 = Answers("lb1", HANG), Answers("lb2", 0.1, server("web1", "lb2"))
    desk = Desk(lb1, lb2)
    assert await desk.first() == (["web1"], 0.1 + STRAGGLER_WAIT_S)
    assert await desk.whole() == (["web1"], HANG)
    assert (lb1.asked, lb2.asked, desk.built) == (1, 1, ["web1"])


@pytest.mark.virtual_time
async def test_all_that_answer_within_the_grace_count_at_once() -> None:
    desk = Desk(
        Answers("lb1", 0.3, server("web1"), server("web2")), Answers("lb2", 0.1, server("web2", "lb2"))
    )
    assert await desk.first() == (["web1", "web2"], 0.3)


@pytest.mark.virtual_time
async def test_what_only_a_late_one_knows_is_among_all_nodes_in_the_order_of_the_configuration() -> None:
    desk = Desk(
        Answers("lb1", 2.0, server("web1"), server("web2")), Answers("lb2", 0.1, server("web2", "lb2"))
    )
    assert (await desk.first())[0] == ["web2"]
    assert await desk.whole() == (["web1", "web2"], 2.0)
    assert desk.built == ["web2", "web1"], "each is built once"


@pytest.mark.virtual_time
async def test_a_place_that_is_still_missing_is_waited_for() -> None:
    late = Answers("lb1", 2.0, server("web1", address="10.0.0.1"))
    desk = Desk(late, Answers("lb2", 0.1, server("web2", "lb2")), nodes={"web1": {}})
    assert await desk.first() == (["web1"], 2.0)


@pytest.mark.virtual_time
async def test_without_any_answer_the_last_failure_is_waited_for() -> None:
    assert await Desk(Answers("lb1", 1.0), Answers("lb2", HANG)).first() == ([], HANG)
    with pytest.raises(ConfigError, match=r"web1\.address: missing"):
        await Desk(Answers("lb1", 1.0), nodes={"web1": {}}).first()


@pytest.mark.virtual_time
async def test_two_places_for_one_name_are_an_error_also_when_it_comes_out_late() -> None:
    late = Answers("lb1", 2.0, server("web1", address="10.0.0.9"))
    desk = Desk(late, Answers("lb2", 0.1, server("web1", "lb2")))
    assert (await desk.first())[0] == ["web1"]
    with pytest.raises(ConfigError, match="is several places"):
        await desk.whole()
    with pytest.raises(ConfigError, match="is several places"):
        await desk.whole()


@pytest.mark.virtual_time
async def test_what_is_still_being_read_ends_with_the_session() -> None:
    desk = Desk(Answers("lb1", HANG), Answers("lb2", 0.1, server("web1", "lb2")))
    await desk.first()
    await desk.resolver.close()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.virtual_time
async def test_others_that_come_while_nodes_are_built_are_not_lost() -> None:
    def node(last: int) -> NodeSettings:
        return NodeSettings(address=f"10.0.0.{last}", port=80)

    desk = Desk(Answers("lb1", HANG), port=80, nodes={"web1": {"address": "10.0.0.1"}})
    desk.slow = 5.0
    first = asyncio.create_task(desk.whole())
    await asyncio.sleep(1)
    desk.resolver.replace({"web1": node(9), "web2": node(2)})
    assert [names for names, _ in (await first, await desk.whole())] == [["web1", "web2"]] * 2
    assert desk.built == ["web1", "web1", "web2"], "again, as it is at another place"
