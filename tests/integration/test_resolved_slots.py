"""Nodes in slots that HAProxy fills from DNS: the record goes with the service, and the slot with it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.free_ports import free_port
from tests.support.rollouts import NEW, assert_nothing_failed, rolldeck, tune, upgrade, versions, world
from tests.support.servers.dns import Dns, running_dns
from tests.support.servers.haproxy import (
    RunningHaproxy,
    haproxy_paths,
    newest_haproxy,
    running_haproxy,
)
from tests.support.wait import until

SERVICE = "_shop._tcp.test"
SECTIONS = """\
resolvers dns
    nameserver one 127.0.0.1:{dns}
    hold valid 100ms
    timeout resolve 100ms
    timeout retry 100ms
{hold}
frontend www
    bind 127.0.0.1:{front}
    default_backend shop
backend shop
    option httpchk GET /health
    default-server check inter 100ms
    retries 0
    server-template shop- 6 {service} resolvers dns init-addr none
"""


def _open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


async def _follow(stack: Stack, dns: Dns) -> None:
    """Be a registry: a node is in DNS as long as its port is open."""
    while True:
        found = {
            f"{name}.test": ("127.0.0.1", node.port)
            for name, node in stack.nodes.items()
            if await asyncio.to_thread(_open, node.port)
        }
        dns.services[SERVICE] = found
        await asyncio.sleep(0.05)


@asynccontextmanager
async def slots(tmp_path: Path, binary: Path, hold: str) -> AsyncIterator[tuple[Stack, RunningHaproxy, int]]:
    """A stack behind a HAProxy that knows its nodes from DNS alone; and the port of the frontend."""
    async with world(tmp_path / "s", nodes=3, instances=1) as stack, running_dns() as dns:
        registry = asyncio.create_task(_follow(stack, dns))
        front = free_port()
        sections = SECTIONS.format(dns=dns.port, hold=hold, front=front, service=SERVICE)
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy:
            head, _, rest = stack.config_path.read_text().partition("[apps.shop]\n")
            stack.config_path.write_text(f'{head}[apps.shop]\nmatch = "address"\n{rest}')
            tune(stack, "haproxy.lb1", socket=f"unix://{haproxy.socket}")
            tune(stack, "apps.shop.rollout", min_available="50%", install_timeout=10)

            async def filled() -> bool:
                return (await haproxy.ask("show stat shop 4 -1")).count(",UP,") == 3

            await until(filled)
            yield stack, haproxy, front
        registry.cancel()
        await asyncio.gather(registry, return_exceptions=True)


@pytest.mark.parametrize("binary", newest_haproxy())
async def test_where_a_slot_would_be_emptied_nothing_is_stopped(tmp_path: Path, binary: Path) -> None:
    async with slots(tmp_path, binary, "") as (stack, haproxy, _):
        before = await haproxy.ask("show servers state shop")
        run = await upgrade(stack)
        assert run.code == 3, run.text
        words = " ".join(run.text.split())
        assert f"name resolution fills its servers (SRV record {SERVICE})" in words
        # stop, install, start and verify have 10 s each here
        assert "Set `hold obsolete 40s` in the section `resolvers`" in words
        assert "It is 0 s now" in words
        after = await haproxy.ask("show servers state shop")
        assert [line.split()[:7] for line in after.splitlines()] == [
            line.split()[:7] for line in before.splitlines()
        ]
        assert set((await versions(stack)).values()) == {"1.4.2"}


@pytest.mark.parametrize("binary", newest_haproxy())
async def test_a_slot_that_is_held_takes_its_node_back(tmp_path: Path, binary: Path) -> None:
    async with slots(tmp_path, binary, "    hold obsolete 60s") as (stack, haproxy, front):
        latest = binary == haproxy_paths()[-1]  # what is the same for all of them needs only one
        async with Load(30, [("127.0.0.1", front)], slow_share=0) as load:
            run = await upgrade(stack, NEW, *([] if latest else ["--limit", "web1"]))
            report = await load.stop()
        assert run.code == 0, run.text
        assert (await versions(stack))["web1"] == NEW
        assert_nothing_failed(report)
        # Three of six slots are empty: no servers for the floor of 50 %, for `status`, or for `init`.
        status = await rolldeck(stack, "status", "shop")
        assert status.code == 0, status.text
        assert "3 of 3 in rotation\n" in status.out
        if latest:
            assert set((await versions(stack)).values()) == {NEW}
            await writes_a_file_that_is_accepted(stack, haproxy, tmp_path)


async def writes_a_file_that_is_accepted(stack: Stack, haproxy: RunningHaproxy, folder: Path) -> None:
    first = folder / "first.toml"
    written = await rolldeck(stack, "init", f"unix://{haproxy.socket}", "--output", str(first))
    assert written.code == 0, written.text
    assert first.read_text().count("= { address = ") == 3
    first.write_text(f'[journal]\npath = "{folder}/journal.db"\n{first.read_text()}')
    check = await rolldeck(stack, "--config", str(first), "check", "shop")
    assert check.code in (0, 3), check.text  # its nodes cannot be reached: the file itself is right
    assert "is not registered" not in check.text
