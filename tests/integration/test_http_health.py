"""Health over HTTP against real servers, asked from here and by the node's own curl."""

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from backends.command import CommandFinished
from backends.health.checks import CommandHealth, TcpHealth
from backends.health.http import HttpHealth
from backends.hosts.local import LocalHost
from backends.kinds import HealthCheckFactory
from backends.node_state import HealthResult
from tests.support.health import look
from tests.support.pages import Handler, raw, reply, serving
from tests.support.recorder import exchanges

if TYPE_CHECKING:
    from backends.command import CommandFinished

UP = reply('{"status":"UP"}')
CUT_OFF = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nUP")
VIA = [
    "console",
    pytest.param("node", marks=pytest.mark.skipif(not shutil.which("curl"), reason="no curl")),
]


@pytest.fixture
async def closed_port() -> AsyncIterator[int]:
    """Bound, so that nobody else takes it, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("via", VIA)
async def test_health_and_version(via: str) -> None:
    pages = {"/health": UP, "/version?app=shop": reply('{"build":{"version":"1.5.0"}}')}
    settings = {
        "check_from": via,
        "json": {"status": "UP"},
        "version_url": "http://{address}:{port}/version?app={app}",
        "version_json": "build.version",
    }
    async with serving(pages) as port:
        assert await look(port, **settings) == HealthResult(True, "200 OK", "1.5.0")


async def test_a_request_searches_the_disk_for_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            searched.append(name)

    async with serving({"/health": UP}) as port:
        await look(port)  # imports what it needs
        monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
        assert (await look(port)).ok
    assert searched == []


@pytest.mark.parametrize("via", VIA)
@pytest.mark.parametrize(
    ("handler", "settings", "detail"),
    [
        (reply("", 503), {}, "HTTP 503 Service Unavailable, expected 200"),
        (reply('{"status":"DOWN"}'), {"json": {"status": "UP"}}, "status is DOWN, expected UP"),
        (reply("<html>"), {"json": {"status": "UP"}}, "the reply is not JSON: '<html>'"),
        (reply("down"), {"body": "^up"}, "the body does not match '^up'"),
        (reply("", 302, "Location: /ok"), {}, "HTTP 302 Found, expected 200"),
        (reply("x" * (1024 * 1024 + 1)), {}, "the reply is longer than 1,048,576 bytes"),
        (raw(b"", pause=5), {"timeout": 0.3}, "timed out after 0.3 s"),
        (raw(b"HTTP/1.1 200 OK\r\n", pause=5), {"timeout": 0.3}, "timed out after 0.3 s"),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", *[b"x"] * 9, pause=0.1),
            {"timeout": 0.3},
            "timed out after 0.3 s",
        ),
    ],
)
async def test_what_is_not_healthy(via: str, handler: Handler, settings: dict[str, Any], detail: str) -> None:
    async with serving({"/health": handler}) as port:
        assert await look(port, check_from=via, **settings) == HealthResult(False, detail)


@pytest.mark.parametrize(
    ("handler", "detail"),
    [
        (
            CUT_OFF,
            "peer closed connection without sending complete message body"
            " (received 2 bytes, expected 100)",
        ),
        (raw(b""), "server disconnected without sending a response"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "illegal status line"),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"10000\r\n" + b"x" * 65536 + b"\r\n", *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 17),
            "the reply is longer than 1,048,576 bytes",
        ),
    ],
)  # fmt: skip
async def test_replies_that_are_none(handler: Handler, detail: str) -> None:
    async with serving({"/health": handler}) as port:
        result = await look(port)
    assert not result.ok
    assert result.detail.startswith(detail)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize(
    ("handler", "detail"),
    [(CUT_OFF, "98 bytes "), (raw(b""), "Empty reply"), (raw(b"SSH-2.0\r\n"), "HTTP/0.9")],
)
async def test_replies_that_are_none_for_curl(handler: Handler, detail: str) -> None:
    async with serving({"/health": handler}) as port:
        result = await look(port, check_from="node")
    assert not result.ok
    assert detail in result.detail


async def test_nobody_listens(closed_port: int) -> None:
    assert await look(closed_port) == HealthResult(False, "connection refused")
    url = f"http://localhost:{closed_port}/health"
    assert await look(closed_port, url=url) == HealthResult(False, "connection refused")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
async def test_nobody_listens_for_curl(closed_port: int) -> None:
    result = await look(closed_port, check_from="node")
    assert not result.ok
    assert result.detail.startswith("Failed to connect to 127.0.0.1")


async def test_an_unknown_host_and_an_impossible_url() -> None:
    unknown = await look(1, url="http://no-such-host.invalid/")
    assert not unknown.ok
    assert "resolution" in unknown.detail or "not known" in unknown.detail
    impossible = await look(1, url="http://127.0.0.1:99999999/")
    assert impossible == HealthResult(False, "connect(): port must be 0-65535")


@pytest.mark.parametrize("via", VIA)
@pytest.mark.parametrize("target", ["http://127.0.0.1:99999999/", "http://[x/", "file:///x", "/"])
async def test_a_redirect_that_leads_nowhere(via: str, target: str) -> None:
    pages = {path: reply("", 302, f"Location: {target}") for path in ("/health", "/")}
    async with serving(pages) as port:
        result = await look(port, check_from=via, follow_redirects=True)
    assert not result.ok
    assert result.detail


@pytest.mark.parametrize("via", ["console", "node"])
async def test_health_by_the_port_alone(via: Literal["console", "node"], closed_port: int) -> None:
    checks = HealthCheckFactory(TcpHealth(check_from=via), "apps.shop.health", LocalHost("here"))
    node, values = LocalHost("web1"), {"address": "127.0.0.1"}
    async with serving({}) as port:
        opened = await checks.create(node, {**values, "port": str(port)}).check()
    closed = await checks.create(node, {**values, "port": str(closed_port)}).check()
    assert opened == HealthResult(True, f"port {port} is open")
    assert closed == HealthResult(False, f"port {closed_port} is closed")


async def test_a_command_that_hangs_is_ended_on_the_node(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    settings = CommandHealth(run=f"sleep 60 & echo $! > {pid_file}; wait", timeout=0.3)
    node = LocalHost("web1")
    result = await HealthCheckFactory(settings, "apps.shop.health", node).create(node, {}).check()
    assert result == HealthResult(False, "timed out after 0.3 s")
    async with asyncio.timeout(60):
        while await node.alive(int(pid_file.read_text())):
            await asyncio.sleep(0.05)


async def test_a_node_without_curl(tmp_path: Path) -> None:
    settings = HttpHealth(url="http://127.0.0.1:1/", check_from="node")
    node = LocalHost("web1", prefix=f"env PATH={tmp_path} /usr/bin/env")
    result = await HealthCheckFactory(settings, "", LocalHost("here")).create(node, {}).check()
    assert not result.ok
    assert "curl" in result.detail
    assert "No such file" in result.detail


@pytest.mark.parametrize("via", VIA)
async def test_redirects_only_when_asked_for(via: str) -> None:
    pages = {"/health": reply("", 302, "Location: /ok"), "/ok": reply("UP")}
    async with serving(pages) as port:
        result = await look(port, check_from=via, follow_redirects=True, body="UP")
    assert result == HealthResult(True, "200 OK")


async def test_each_look_is_a_new_connection_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    peers = set()

    async def remember(head: bytes, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await UP(head, writer)

    checks = HealthCheckFactory(HttpHealth(url="http://127.0.0.1:{port}/health"), "", LocalHost("here"))
    async with serving({"/health": remember}) as port:
        check = checks.create(LocalHost("web1"), {"port": str(port)})
        results = [await check.check() for _ in range(3)]
        await checks.close()
    assert [result.ok for result in results] == [True] * 3
    assert len(peers) == 3


async def test_looking_is_not_recorded() -> None:
    recorded: list[CommandFinished] = []
    node = LocalHost("web1", listener=exchanges(recorded))
    settings = HttpHealth(url="http://127.0.0.1:{port}/health", check_from="node")
    async with serving({"/health": UP}) as port:
        await HealthCheckFactory(settings, "", node).create(node, {"port": str(port)}).check()
    assert recorded == []
