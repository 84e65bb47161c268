"""Health over HTTP against real servers, asked from here and by the node's own curl."""

import asyncio
import datetime
import ipaddress
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backends.errors import ConfigError
from backends.health.http import HttpHealth
from backends.health.kinds import HealthChecks
from backends.health.simple import CommandHealth, TcpHealth
from backends.hosts.local import LocalHost
from backends.model import Exchange, HealthResult
from tests.pages import Handler, raw, reply, serving

UP = reply('{"status":"UP"}')
CUT_OFF = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nUP")
VIA = [
    "console",
    pytest.param("node", marks=pytest.mark.skipif(not shutil.which("curl"), reason="no curl")),
]


async def look(port: int, **settings: Any) -> HealthResult:
    """One look at 127.0.0.1, everything opened and closed again."""
    defaults = {"url": "http://{address}:{port}/health"}
    checks = HealthChecks(
        msgspec.convert({**defaults, **settings}, HttpHealth), "apps.shop.health", LocalHost("here")
    )
    values = {"address": "127.0.0.1", "port": str(port), "app": "shop", "node": "web1"}
    try:
        return await checks.of(LocalHost("web1"), values).look()
    finally:
        await checks.close()


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
        "via": via,
        "json": {"status": "UP"},
        "version_url": "http://{address}:{port}/version?app={app}",
        "version_json": "build.version",
    }
    async with serving(pages) as port:
        assert await look(port, **settings) == HealthResult(True, "200 OK", "1.5.0")


@pytest.mark.parametrize("via", VIA)
@pytest.mark.parametrize(
    ("handler", "settings", "detail"),
    [
        (reply("", 503), {}, "HTTP 503 Service Unavailable, expected 200"),
        (reply('{"status":"DOWN"}'), {"json": {"status": "UP"}}, "status is DOWN, expected UP"),
        (reply("<html>"), {"json": {"status": "UP"}}, "the reply is not JSON: '<html>'"),
        (reply("down"), {"body": "^up"}, "the body does not match '^up'"),
        (reply("", 302, "Location: /ok"), {}, "HTTP 302 Found, expected 200"),
        (reply("x" * (1024 * 1024 + 1)), {}, "the reply is longer than 1 MiB"),
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
        assert await look(port, via=via, **settings) == HealthResult(False, detail)


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
            "the reply is longer than 1 MiB",
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
    [(CUT_OFF, "98 bytes remaining"), (raw(b""), "Empty reply"), (raw(b"SSH-2.0\r\n"), "HTTP/0.9")],
)
async def test_replies_that_are_none_for_curl(handler: Handler, detail: str) -> None:
    async with serving({"/health": handler}) as port:
        result = await look(port, via="node")
    assert not result.ok
    assert detail in result.detail


async def test_nobody_listens(closed_port: int) -> None:
    assert await look(closed_port) == HealthResult(False, "connection refused")
    url = f"http://localhost:{closed_port}/health"
    assert await look(closed_port, url=url) == HealthResult(False, "connection refused")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
async def test_nobody_listens_for_curl(closed_port: int) -> None:
    result = await look(closed_port, via="node")
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
        result = await look(port, via=via, follow_redirects=True)
    assert not result.ok
    assert result.detail


@pytest.mark.parametrize("via", ["console", "node"])
async def test_health_by_the_port_alone(via: Literal["console", "node"], closed_port: int) -> None:
    checks = HealthChecks(TcpHealth(via=via), "apps.shop.health", LocalHost("here"))
    node, values = LocalHost("web1"), {"address": "127.0.0.1"}
    async with serving({}) as port:
        opened = await checks.of(node, {**values, "port": str(port)}).look()
    closed = await checks.of(node, {**values, "port": str(closed_port)}).look()
    assert opened == HealthResult(True, f"port {port} is open")
    assert closed == HealthResult(False, f"port {closed_port} is closed")


async def test_a_command_that_hangs_is_ended_on_the_node(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    settings = CommandHealth(run=f"sleep 60 & echo $! > {pid_file}; wait", timeout=0.3)
    node = LocalHost("web1")
    result = await HealthChecks(settings, "apps.shop.health", node).of(node, {}).look()
    assert result == HealthResult(False, "timed out after 0.3 s")
    async with asyncio.timeout(10):
        while await node.alive(int(pid_file.read_text())):  # noqa: ASYNC110 - it was only signalled
            await asyncio.sleep(0.05)


async def test_a_node_without_curl(tmp_path: Path) -> None:
    settings = HttpHealth(url="http://127.0.0.1:1/", via="node")
    node = LocalHost("web1", prefix=f"env PATH={tmp_path} /usr/bin/env")
    result = await HealthChecks(settings, "", LocalHost("here")).of(node, {}).look()
    assert not result.ok
    assert "curl" in result.detail
    assert "No such file" in result.detail


@pytest.mark.parametrize("via", VIA)
async def test_redirects_only_when_asked_for(via: str) -> None:
    pages = {"/health": reply("", 302, "Location: /ok"), "/ok": reply("UP")}
    async with serving(pages) as port:
        result = await look(port, via=via, follow_redirects=True, body="UP")
    assert result == HealthResult(True, "200 OK")


async def test_each_look_is_a_new_connection_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    peers = set()

    async def remember(head: bytes, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        await UP(head, writer)

    checks = HealthChecks(HttpHealth(url="http://127.0.0.1:{port}/health"), "", LocalHost("here"))
    async with serving({"/health": remember}) as port:
        check = checks.of(LocalHost("web1"), {"port": str(port)})
        results = [await check.look() for _ in range(3)]
        await checks.close()
    assert [result.ok for result in results] == [True] * 3
    assert len(peers) == 3


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"username": "joe"}, b"authorization: Basic am9lOnMzY3JldA=="),
        ({}, b"authorization: Bearer s3cret"),
    ],
)
async def test_a_password_is_sent_and_never_seen(
    settings: dict[str, str], header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret")
    heads: list[bytes] = []

    async def remember(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await reply("", 401)(head, writer)

    async with serving({"/health": remember}) as port:
        result = await look(port, password_env="SHOP_PASSWORD", **settings)
    assert header.lower() in heads[0].lower()
    assert result.detail == "HTTP 401 Unauthorized, expected 200"
    assert "s3cret" not in repr(result)


async def test_a_password_that_cannot_be_used_is_an_error_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret\nX-Other: 1")
    with pytest.raises(ConfigError, match=r"apps\.shop\.health\.password: is not fit") as caught:
        await look(1, password_env="SHOP_PASSWORD")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="NOT_SET is not set"):
        await look(1, password_env="NOT_SET")


async def test_looking_is_not_recorded() -> None:
    recorded: list[Exchange] = []
    node = LocalHost("web1", recorder=recorded.append)
    settings = HttpHealth(url="http://127.0.0.1:{port}/health", via="node")
    async with serving({"/health": UP}) as port:
        await HealthChecks(settings, "", node).of(node, {"port": str(port)}).look()
    assert recorded == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rolldeck tests")])
    now = datetime.datetime.now(datetime.UTC)
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([local]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.mark.parametrize("via", VIA)
async def test_tls(certificate: Path, via: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    url = "https://127.0.0.1:{port}/health"
    async with serving({"/health": UP}, tls) as port:
        unknown = await look(port, url=url, via=via)
        trusted = await look(port, url=url, via=via, ca_file=str(certificate))
        any_one = await look(port, url=url, via=via, verify_tls=False)
        other_name = "https://localhost:{port}/health"
        wrong_name = await look(port, url=other_name, via=via, ca_file=str(certificate))
        plain = await look(port, via=via)
    assert (unknown.ok, trusted.ok, any_one.ok, wrong_name.ok) == (False, True, True, False)
    assert "self-signed certificate" in unknown.detail
    assert not plain.ok


async def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"health\.ca_file: cannot use .*No such file"):
        await look(1, ca_file=str(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ConfigError, match=r"health\.ca_file: cannot use"):
        await look(1, ca_file=str(tmp_path / "empty.pem"))
