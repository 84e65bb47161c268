"""A real HAProxy with servers of every kind, and Rolldeck's client of its Runtime API."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from backends.command import CommandFinished
from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.model import Server, ServerRef
from backends.protocols import LoadBalancer
from tests.support.recorder import exchanges

SECTIONS = """
frontend front
    bind 127.0.0.1:{front}
    stats enable
    stats uri /stats
    stats auth admin:hunter2
    use_backend cut if {{ path_beg /slow }}
    default_backend shop
backend shop
    balance roundrobin
    default-server inter 150ms rise 3 fall 2
    option httpchk
    http-check expect status 200
    server web1 127.0.0.1:{app} check weight 50
    server web2 127.0.0.1:{app} check disabled
    server follower 127.0.0.1:{app} track shop/web1
    server unchecked 127.0.0.1:{app}
    server minded 127.0.0.1:{app} check agent-check agent-port {agent} agent-inter 150ms
    server ramp 127.0.0.1:{app} check slowstart 60s
    server BACKEND 127.0.0.1:{app} check
backend fixed
    balance static-rr
    server web1 127.0.0.1:{app} check
backend cut
    default-server on-marked-down shutdown-sessions
    server web1 127.0.0.1:{app}
backend 3scale
    server web1 127.0.0.1:{app}
frontend front-too
    bind 127.0.0.1:{other}
backend front-too
    server web1 127.0.0.1:{app}
"""


def ref(server: str, backend: str = "shop") -> ServerRef:
    return ServerRef("lb1", backend, server)


def runtime(
    socket: Path | str,
    *,
    master: bool = False,
    timeout: float = 5.0,
    seen: list[CommandFinished] | None = None,
) -> Runtime:
    text = socket if isinstance(socket, str) else f"unix://{socket}"
    settings = HaproxySettings(socket=text, master=master, timeout=timeout)
    return Runtime("lb1", settings, listener=exchanges(seen) if seen is not None else None)


async def server(lb: LoadBalancer, name: str, backend: str = "shop") -> Server:
    snapshot = await lb.snapshot([backend])
    return next(server for server in snapshot.servers if server.ref.server == name)


async def wait_for_server(
    lb: LoadBalancer, name: str, condition: Callable[[Server], bool], backend: str = "shop"
) -> Server:
    async with asyncio.timeout(60):
        while True:
            if condition(found := await server(lb, name, backend)):
                return found
            await asyncio.sleep(0.02)
