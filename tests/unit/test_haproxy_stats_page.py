"""The HTTP statistics page, read-only, from captured pages and a server that misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from backends.errors import BackendError, ConfigError, PermissionDenied, Refused, Unreachable, UnreadableReply
from backends.haproxy.address import HaproxySettings
from backends.haproxy.stats_page import StatsPage
from backends.model import Admin, AdminState, Info, Level, Operational
from tests.support.free_ports import free_port
from tests.support.servers.tcp_listener import listening

CAPTURED = Path(__file__).parent / "captured"
VERSIONS = sorted({path.name.split("-")[0] for path in CAPTURED.glob("*-page.txt")})


@asynccontextmanager
async def page(
    body: bytes, head: bytes = b"HTTP/1.0 200 OK\r\n\r\n", *, hang: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve one answer to everything; yields the address and the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(head + body)
        if hang:
            await asyncio.Event().wait()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}/stats", requests


def stats_page(url: str, username: str = "", password_env: str = "", timeout: float = 10.0) -> StatsPage:
    return StatsPage(
        "lb1",
        HaproxySettings(stats_url=url, username=username, password_env=password_env, timeout=timeout),
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_a_page_tells(version: str) -> None:
    async with page((CAPTURED / f"{version}-page.txt").read_bytes()) as (url, requests):
        snapshot = await stats_page(url).snapshot()
    assert requests[0].startswith(b"GET /stats;csv HTTP/1.1\r\n")
    assert snapshot.info == Info("lb1", "", 0, 0, False)
    assert snapshot.level is Level.USER
    assert snapshot.read_only == "a statistics page"
    assert [backend.name for backend in snapshot.backends] == ["shop", "tcp", "empty"]
    found = {server.ref.server: server for server in snapshot.servers}
    assert {name: found[name].admin for name in ("up", "drained", "maint")} == {
        "up": Admin.NONE,
        "drained": Admin.FORCED_DRAIN,
        "maint": Admin.FORCED_MAINT,
    }
    assert found["follower"].admin is Admin.INHERITED_MAINT
    assert found["unresolved"].admin is Admin.RESOLUTION_MAINT
    assert found["dead.drained"].admin_state is AdminState.READY  # the page cannot tell
    assert found["dead"].operational is Operational.STOPPED
    assert found["drained"].checks_passed
    assert found["up"].in_rotation
    assert not found["half"].in_rotation
    assert [name for name, server in found.items() if not server.has_checks] == [
        "unchecked",
        "follower",
        "agent-only",
        "six",
        "file",
        "unhealthy",
    ]
    assert [name for name, server in found.items() if server.agent] == ["agent", "agent-only"]
    assert found["up"].weight == 50


async def test_some_backends_only() -> None:
    async with page((CAPTURED / f"{VERSIONS[0]}-page.txt").read_bytes()) as (url, _):
        snapshot = await stats_page(url).snapshot(["tcp"])
        assert [server.ref.server for server in snapshot.servers] == ["t1"]
        with pytest.raises(
            Refused, match=r"not on the statistics page: tpc \(did you mean 'tcp'\?\); there is: "
        ):
            await stats_page(url).snapshot(["tcp", "tpc"])


async def test_the_password_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLDECK_TEST_SECRET", "hunter2")
    async with page(b"", b"HTTP/1.0 401 Unauthorized\r\n\r\n") as (url, requests):
        source = stats_page(url, "admin", "ROLLDECK_TEST_SECRET")
        with pytest.raises(PermissionDenied, match=r"user name or password refused \(HTTP 401\)") as caught:
            await source.snapshot()
        assert b"Authorization: Basic YWRtaW46aHVudGVyMg==" in requests[0]
        shown = [repr(caught.value), repr(source), repr(vars(source))]
        assert "hunter2" not in "".join(shown)
        with pytest.raises(PermissionDenied, match="asks for a login"):
            await stats_page(url).snapshot()


@pytest.mark.parametrize(
    ("head", "body", "error", "words"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", b"<html>hello</html>\n", UnreadableReply, "the CSV of `show stat`"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"", UnreadableReply, "cut off"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"# pxname,svname\n", UnreadableReply, "columns type"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"# pxname,svname\nshop,w", UnreadableReply, "cut off"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 90\r\n\r\n", b"# px\n", UnreadableReply, "stats;csv"),
        (b"HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", b"", UnreadableReply, "HTTP 302"),
        (b"HTTP/1.0 503 Sorry\r\n\r\n", b"", UnreadableReply, "HTTP 503"),
        (b"HTTP/1.0 403 No\r\n\r\n", b"", PermissionDenied, "HTTP 403"),
        (b"not http at all\r\n\r\n", b"", UnreadableReply, "stats;csv"),
    ],
)
async def test_what_is_no_page(head: bytes, body: bytes, error: type[BackendError], words: str) -> None:
    async with page(body, head) as (url, _):
        with pytest.raises(BackendError, match=words) as caught:
            await stats_page(url).snapshot()
    assert type(caught.value) is error


async def test_a_page_that_does_not_come() -> None:
    async with page(b"# pxname", hang=True) as (url, _):
        with pytest.raises(Unreachable, match=r"no complete answer within 0\.3 s"):
            await stats_page(url, timeout=0.3).snapshot()
    with pytest.raises(Unreachable, match="stats;csv"):
        await stats_page(f"http://127.0.0.1:{free_port()}/stats").snapshot()


async def test_a_password_that_is_not_there_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigError, match=r"haproxy\.lb1\.password_env: environment variable"):
        await stats_page("http://127.0.0.1:1/stats", "admin", "ROLLDECK_NO_SUCH").snapshot()


async def test_nothing_can_be_written_and_no_fact_seen() -> None:
    source = stats_page("http://127.0.0.1:1/stats;csv")
    with pytest.raises(PermissionDenied, match="read-only: HTTP statistics page"):
        await source.write("set server shop/web1 state drain")
    facts = await source.facts()
    assert facts.unseen == "read-only: HTTP statistics page"
    assert [getattr(facts, field.name) for field in fields(facts)][:2] == [None, None]
