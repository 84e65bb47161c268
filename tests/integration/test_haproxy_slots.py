"""Empty slots on every real HAProxy: filled by a resolver, emptied again, and by a controller's commands."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.haproxy.stats_page import StatsPage
from tests.support.free_ports import free_port
from tests.support.servers.dns import running_dns
from tests.support.servers.haproxy import RunningHaproxy, haproxy_binaries, running_haproxy
from tests.support.wait import until

pytestmark = pytest.mark.parametrize("binary", haproxy_binaries())

RECORD, HOST = "_shop._tcp.test", "shop.test"
SECTIONS = """
resolvers dns
    nameserver one 127.0.0.1:{dns}
    hold valid 100ms
    hold obsolete 0ms
    hold nx 100ms
    timeout resolve 100ms
    timeout retry 100ms
frontend page
    bind 127.0.0.1:{page}
    stats enable
    stats uri /stats
backend records
    server-template s- 4 {record} resolvers dns init-addr none check
backend hosts
    server-template h- 4 {host}:8080 resolvers dns init-addr none check
backend zero
    server-template z- 2 0.0.0.0:8080 check disabled
backend place
    server-template p- 3 127.0.0.1:8080 check disabled
backend lone
    server l1 192.0.2.1:80
    server-template l- 1 127.0.0.1:1023 check disabled
backend unnamed
    server u1 192.0.2.1:80
    server-template u- 1 _none._tcp.test resolvers dns init-addr none check disabled
backend own
    server o1 nosuch.test:80 check resolvers dns init-addr none
    server o2 _nosuch._tcp.test check resolvers dns init-addr none
    server o3 127.0.0.1:8080 check disabled
    server o4 unix@/nowhere disabled
    server o5 unix@/nowhere disabled
"""


async def empty_slots(balancer: Runtime | StatsPage) -> dict[str, int]:
    """How many of each backend."""
    found: dict[str, int] = {}
    for server in (await balancer.snapshot()).servers:
        if server.empty_slot:
            found[server.ref.backend] = found.get(server.ref.backend, 0) + 1
    return found


def become(balancer: Runtime, expected: dict[str, int]) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return await empty_slots(balancer) == expected

    return reached


async def test_a_slot_is_empty_until_something_fills_it_and_once_that_is_gone(
    tmp_path: Path, binary: Path
) -> None:
    page = free_port()
    async with running_dns() as dns:
        dns.services[RECORD] = {f"n{n}.test": (f"127.0.0.{n}", 8100 + n) for n in (1, 2, 3)}
        dns.hosts[HOST] = [f"127.0.0.{n}" for n in (1, 2, 3)]
        sections = SECTIONS.format(dns=dns.port, page=page, record=RECORD, host=HOST)
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy:
            admin = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.socket}"))
            user = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.user_socket}"))
            alone = {"lone": 1, "unnamed": 1}
            disabled = {"zero": 2, "place": 3} | alone
            filled = {"records": 1, "hosts": 1} | disabled
            await until(become(admin, filled))
            assert await empty_slots(user) == filled
            url = StatsPage("lb1", HaproxySettings(stats_url=f"http://127.0.0.1:{page}/stats"))
            # Of names and records nothing is known there: what resolution keeps out may be a slot.
            assert await empty_slots(url) == {"records": 1, "hosts": 1, "own": 2, "unnamed": 1}

            await controller_fills(haproxy)
            del dns.services[RECORD]["n1.test"]
            dns.hosts[HOST] = ["127.0.0.2"]
            await until(become(admin, {"records": 2, "hosts": 3, "zero": 1, "place": 2} | alone))

            await haproxy.ask("set server zero/z-1 addr 0.0.0.0")
            await haproxy.ask("set server zero/z-1 state maint")
            assert (await empty_slots(admin))["zero"] == 2


async def controller_fills(haproxy: RunningHaproxy) -> None:
    for name in ("zero/z-1", "place/p-1"):
        assert "changed" in await haproxy.ask(f"set server {name} addr 127.0.0.9 port 80")
        assert not (await haproxy.ask(f"set server {name} state ready")).strip()
