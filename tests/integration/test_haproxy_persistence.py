"""Where clients that belong to a server go while it drains and in maintenance, on every real HAProxy.

What preflight says of it comes from the configuration, and has to be what HAProxy does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from orchestrator.planning.application import Policy
from orchestrator.planning.findings import judge_persistence
from tests.support.free_ports import free_port
from tests.support.servers.haproxy import haproxy_binaries, running_haproxy

COOKIE = "cookie SRV insert indirect nocache"
STICK = "stick-table type ip size 10k\n    stick on src"
MOVED = "then maintenance moves them"
BACKENDS = {
    "cookie": (COOKIE, MOVED),
    "cookie-persist": (f"{COOKIE}\n    option persist", "with `option persist`"),
    "cookie-redispatch": (f"{COOKIE}\n    option persist\n    option redispatch", "with `option persist`"),
    "cookie-force": (f"{COOKIE}\n    force-persist if {{ path_beg / }}", "with `force-persist`"),
    "stick": (STICK, MOVED),
    "stick-persist": (f"{STICK}\n    option persist", "with `option persist`"),
    "named": ("use-server web1 if { path_beg / }", MOVED),
    "none": ("option persist", ""),
}


@asynccontextmanager
async def node(name: str) -> AsyncIterator[int]:
    """An application that answers with its name; and its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n" + name.encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def request(port: int, cookie: str) -> tuple[str, str]:
    """Returns who answered, and the cookie to send from now on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{cookie}\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    given = [line for line in head.splitlines() if line.lower().startswith("set-cookie: ")]
    return body, f"Cookie: {given[0].split()[1].rstrip(';')}\r\n" if given else cookie


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_what_is_said_is_what_happens(tmp_path: Path, binary: Path) -> None:
    ports = {name: free_port() for name in BACKENDS}
    async with AsyncExitStack() as stack:
        apps = {name: await stack.enter_async_context(node(name)) for name in ("web1", "web2")}
        servers = "".join(
            f"    server {name} 127.0.0.1:{port} cookie {name}\n" for name, port in apps.items()
        )
        sections = "".join(
            f"frontend to-{name}\n    bind 127.0.0.1:{ports[name]}\n    default_backend {name}\n"
            f"backend {name}\n    {lines}\n{servers}"
            for name, (lines, _) in BACKENDS.items()
        )
        haproxy = await stack.enter_async_context(running_haproxy(tmp_path / "h", binary, sections))
        lb = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.socket}"))
        findings = list(judge_persistence(await lb.snapshot(), await lb.facts(), Policy()))
        said = {finding.subject.removesuffix(" on lb1"): finding.text for finding in findings}
        for name, (_, expected) in BACKENDS.items():
            assert expected in said.get(name, "")
            own, cookie = await request(ports[name], "")
            await haproxy.ask(f"set server {name}/{own} state drain")
            stays = {(await request(ports[name], cookie))[0] for _ in range(3)} == {own}
            assert stays is (name in said), f"{name}: in drain"
            await haproxy.ask(f"set server {name}/{own} state maint")
            stays = {(await request(ports[name], cookie))[0] for _ in range(3)} == {own}
            assert stays is ("reach a node in maintenance" in said.get(name, "")), f"{name}: in maintenance"
