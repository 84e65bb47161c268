"""One reader for each HAProxy, and a view for each application."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from backends.errors import Refused
from backends.haproxy.address import HaproxySettings
from backends.model import ServerRef, Snapshot
from orchestrator.live.poller import BalancerView, LiveView
from orchestrator.live.shared_poller import SEARCH_INTERVAL_S, SharedPoller
from tests.support.fake_balancer import FakeBalancer
from tests.support.fake_node import FakeNode
from tests.support.virtual_time import VirtualClock

pytestmark = pytest.mark.virtual_time

LB1, LB2 = (HaproxySettings(socket=f"unix:///run/{name}.sock") for name in ("lb1", "lb2"))


class Balancers:
    """HAProxies that are made on demand, and what each was asked for."""

    def __init__(self, *backends: str) -> None:
        self.made: list[FakeBalancer] = []
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.backends = list(backends)

    def make(self, name: str, settings: HaproxySettings) -> FakeBalancer:
        made = FakeBalancer(name)
        for backend in self.backends:
            self.add(made, backend)
        read = made.snapshot

        async def snapshot(backends: Sequence[str] = ()) -> Snapshot:
            self.asked.append((name, tuple(backends)))
            found = await read(backends)
            if {backend.name for backend in found.backends}.issuperset(backends):
                return found
            raise Refused(name, "No such backend.")

        made.snapshot = snapshot  # type: ignore[method-assign]
        made.begin()
        self.made.append(made)
        return made

    def add(self, balancer: FakeBalancer, backend: str) -> None:
        for number in (1, 2):
            balancer.add(backend, f"{backend}{number}", FakeNode(f"{backend}{number}"))


@asynccontextmanager
async def polling(balancers: Balancers) -> AsyncIterator[SharedPoller]:
    poller = SharedPoller(balancers.make, VirtualClock())
    task = asyncio.create_task(poller.run())
    yield poller
    assert not task.done(), "it never ends by itself"
    task.cancel()
    await asyncio.wait([task])


def lb(view: LiveView, name: str = "lb1") -> BalancerView:
    return view.view.instance(name)


def servers(view: LiveView, name: str = "lb1") -> list[str]:
    return [server.ref.server for server in lb(view, name).servers]


async def test_applications_share_the_reads_and_each_sees_its_own_servers() -> None:
    balancers = Balancers("shop", "cart")
    async with polling(balancers) as poller:
        shop = poller.add({"lb1": LB1, "lb2": LB2}, ["shop"])
        cart = poller.add({"lb1": LB1}, ["cart"])
        both = poller.add({"lb2": LB2}, ["cart", "shop"])
        await asyncio.sleep(2.5)
        assert [made.name for made in balancers.made] == ["lb1", "lb2"]
        assert len(balancers.asked) == 6
        assert set(balancers.asked) == {("lb1", ("shop", "cart")), ("lb2", ("shop", "cart"))}
        assert [balancer.state for balancer in shop.view.instances] == ["live", "live"]
        assert (servers(shop), servers(cart)) == (["shop1", "shop2"], ["cart1", "cart2"])
        assert servers(both, "lb2") == ["shop1", "shop2", "cart1", "cart2"]
        assert shop.view.server(ServerRef("lb2", "shop", "shop1")) is not None
        assert shop.view.rate(ServerRef("lb1", "shop", "shop1")) is not None


async def test_one_alone_is_read_as_ever() -> None:
    balancers = Balancers("shop", "cart")
    async with polling(balancers) as poller:
        poller.add({"lb1": LB1}, ["shop"])
        await asyncio.sleep(1.5)
        assert set(balancers.asked) == {("lb1", ("shop",))}


async def test_what_another_machine_is_called_alike_is_read_on_its_own() -> None:
    balancers = Balancers("shop")
    async with polling(balancers) as poller:
        poller.add({"lb1": LB1}, ["shop"])
        poller.add({"lb1": LB2}, ["shop"])
        await asyncio.sleep(0.5)
        assert len(balancers.made) == 2


async def test_a_missing_backend_concerns_its_application_only_until_it_is_there() -> None:
    balancers = Balancers("shop")
    async with polling(balancers) as poller:
        shop, cart = (poller.add({"lb1": LB1}, [name]) for name in ("shop", "cart"))
        await asyncio.sleep(5.5)
        assert (lb(shop).state, servers(shop)) == ("live", ["shop1", "shop2"])
        assert lb(cart).state == "connecting"
        assert lb(cart).failing.startswith("No such backend. cart")
        # Not asked in vain each time: the whole table once, and then what is there.
        assert balancers.asked == [("lb1", ("shop", "cart")), ("lb1", ()), *[("lb1", ("shop",))] * 5]
        balancers.add(balancers.made[0], "cart")
        await asyncio.sleep(SEARCH_INTERVAL_S)
        assert (lb(cart).state, servers(cart)) == ("live", ["cart1", "cart2"])


async def test_a_backend_that_goes_is_stale_and_the_others_live_on() -> None:
    balancers = Balancers("shop", "cart")
    async with polling(balancers) as poller:
        shop, cart = (poller.add({"lb1": LB1}, [name]) for name in ("shop", "cart"))
        await asyncio.sleep(2.5)
        for name in ("cart/cart1", "cart/cart2"):
            del balancers.made[0].servers[name]
        await asyncio.sleep(1)
        assert (lb(shop).state, lb(cart).state) == ("live", "stale")
        assert servers(cart) == ["cart1", "cart2"]  # what was read last


async def test_one_that_fails_or_hangs_is_stale_for_all_of_its_applications() -> None:
    balancers = Balancers("shop", "cart")
    async with polling(balancers) as poller:
        shop = poller.add({"lb1": LB1, "lb2": LB2}, ["shop"])
        cart = poller.add({"lb1": LB1}, ["cart"])
        await asyncio.sleep(1.5)
        balancers.made[0].down = True
        await asyncio.sleep(1)
        assert [lb(view).failing for view in (shop, cart)] == ["connection refused"] * 2
        assert lb(shop, "lb2").state == "live"
        balancers.made[0].down = False
        await asyncio.sleep(1)
        assert lb(cart).state == "live"


async def test_one_that_is_added_while_it_runs() -> None:
    balancers = Balancers("shop", "cart")
    async with polling(balancers) as poller:
        shop = poller.add({"lb1": LB1}, ["shop"])
        await asyncio.sleep(0.5)
        cart = poller.add({"lb1": LB1, "lb2": LB2}, ["cart"])
        await asyncio.sleep(1)
        assert [balancer.state for balancer in cart.view.instances] == ["live", "live"]
        assert lb(shop).state == "live"


async def test_each_application_is_notified_once_for_one_poll() -> None:
    balancers = Balancers("shop", "cart")
    async with polling(balancers) as poller:
        shop = poller.add({"lb1": LB1}, ["shop"])
        seen: list[object] = []
        unsubscribe = shop.subscribe(lambda: seen.append(shop.view))
        await asyncio.sleep(2.5)
        assert len(seen) == 3
        unsubscribe()
        await asyncio.sleep(2)
        assert len(seen) == 3
