"""Sessions that HAProxy's older processes still have after a reload: the node is not stopped under them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.support.free_ports import free_port
from tests.support.rollouts import Run, rolldeck, started, tune, until_up, world
from tests.support.servers.haproxy import RunningHaproxy, newest_haproxy, running_haproxy
from tests.support.stacks import reload_haproxy
from tests.support.wait import until

ONE = ("upgrade", "shop", "1.5.0", "--yes", "--json", "--limit", "web1")


class _Download:
    """A request in flight on web1, for as long as its client wants."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @classmethod
    async def on_web1(cls, stack: Stack, port: int) -> "_Download":
        """Begin one through this port. Raises AssertionError when HAProxy never chooses web1."""
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /download?seconds=60 HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            if await _connected(stack, "web1"):
                return cls(writer)
            writer.close()
        raise AssertionError("no request came to web1")

    def end(self) -> None:
        self._writer.close()


async def _connected(stack: Stack, node: str) -> bool:
    """Whether anybody has a connection to this node for half a second: a health check does not."""
    local = f":{stack.nodes[node].port:04X}"
    for _ in range(5):
        table = Path("/proc/net/tcp").read_text()  # noqa: ASYNC240 - the kernel's, at once there
        rows = [line.split() for line in table.splitlines()[1:]]
        if not any(row[1].endswith(local) and row[3] == "01" for row in rows):
            return False
        await asyncio.sleep(0.1)
    return True


async def _upgrade_during(stack: Stack, download: _Download, reason: str) -> Run:
    """Upgrade web1 and end the download only when the drain has said that it waits for it."""
    async with started(stack, *ONE) as running:
        await running.event("waiting", step="drain", reason=reason)
        download.end()
        return await running.end()


async def test_without_a_master_socket_the_nodes_own_connections_count(tmp_path: Path) -> None:
    async with world(tmp_path / "s", port_check_from="node", nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", min_available=1, drain_timeout=120, stop_timeout=30)
        download = await _Download.on_web1(stack, stack.instances["lb1"].port)
        await reload_haproxy(stack.instances["lb1"])
        await until_up(stack, "shop")
        port = stack.nodes["web1"].port
        reason = f"connections on port {port}: 1, perhaps of older HAProxy processes after a reload"
        run = await _upgrade_during(stack, download, reason)
        assert run.code == 0, run.text


async def test_where_nobody_sees_them_preflight_says_so_after_a_reload(tmp_path: Path) -> None:
    async with world(tmp_path / "s", port_check_from="node", nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.access", port_check_from="console")
        tune(stack, "apps.shop.rollout", min_available=1, drain_timeout=600)
        await reload_haproxy(stack.instances["lb1"])
        await until_up(stack, "shop")
        check = await rolldeck(stack, "check", "shop")
        assert check.code == 0, check.text
        assert "sessions of older HAProxy processes cannot be seen" in " ".join(check.text.split())
        tune(stack, "apps.shop.rollout", drain_timeout=0.1)

        async def has_ended() -> bool:  # HAProxy tells its age in whole seconds
            check = await rolldeck(stack, "check", "shop")
            assert check.code == 0, check.text
            return "older HAProxy processes" not in " ".join(check.text.split())

        await until(has_ended)


@asynccontextmanager
async def _mastered(stack: Stack, folder: Path, binary: Path) -> AsyncIterator[tuple[RunningHaproxy, int]]:
    """A HAProxy with a master in place of the stack's; and the port of its frontend."""
    front = free_port()
    servers = "".join(
        f"    server {name} 127.0.0.1:{node.port} check inter 100ms\n" for name, node in stack.nodes.items()
    )
    sections = (
        f"frontend www\n    bind 127.0.0.1:{front}\n    default_backend shop\nbackend shop\n"
        f"    option httpchk GET /health\n{servers}"
    )
    # Old workers must not end by themselves while a request runs.
    async with running_haproxy(folder, binary, sections, global_lines="    hard-stop-after 120s") as haproxy:
        tune(stack, "haproxy.lb1", socket=f"unix://{haproxy.master_socket}", master=True)
        yield haproxy, front


@pytest.mark.parametrize("binary", newest_haproxy())
async def test_a_master_socket_tells_what_its_old_workers_have(tmp_path: Path, binary: Path) -> None:
    async with (
        world(tmp_path / "s", port_check_from="node", nodes=2, instances=1) as stack,
        _mastered(stack, tmp_path / "h", binary) as (haproxy, front),
    ):
        tune(stack, "apps.shop.access", port_check_from="console")  # the node's connections are not looked at
        tune(stack, "apps.shop.rollout", min_available=1, drain_timeout=120, stop_timeout=30)
        download = await _Download.on_web1(stack, front)
        await haproxy.reload()

        async def up() -> bool:
            rows = [row.split(",") for row in (await haproxy.ask("show stat shop 4 -1")).splitlines()[1:]]
            return all(row[17] == "UP" for row in rows if len(row) > 17)

        await until(up)
        reason = "sessions: 1 on lb1 in processes that a reload has replaced"
        run = await _upgrade_during(stack, download, reason)
        assert run.code == 0, run.text
