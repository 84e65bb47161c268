"""The sessions on one server, from every real HAProxy that is there, with requests that are held open."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.errors import PermissionDenied, Refused, Unreachable
from backends.haproxy.address import HaproxySettings
from backends.haproxy.commands import shutdown_listed
from backends.haproxy.runtime import Runtime
from backends.model import Sessions
from tests.support.free_ports import free_port
from tests.support.servers.haproxy import RunningHaproxy, haproxy_binaries, running_haproxy
from tests.support.servers.http_server import answering

pytestmark = pytest.mark.parametrize("binary", haproxy_binaries())

SECTIONS = """
frontend www
    bind 127.0.0.1:{www}
    use_backend other if {{ path_beg /slow/other }}
    default_backend shop
backend shop
    server web1 127.0.0.1:{app}
    server web2 127.0.0.1:{app} weight 0
backend other
    server web1 127.0.0.1:{app}
"""


@asynccontextmanager
async def held(folder: Path, binary: Path, *paths: str) -> AsyncIterator[tuple[RunningHaproxy, list[str]]]:
    """A HAProxy with a request open for each path, and the address from which each one comes."""
    www = free_port()
    async with answering() as answers:
        sections = SECTIONS.format(www=www, app=answers.app_port)
        async with running_haproxy(folder / "h", binary, sections) as haproxy:
            clients, writers = [], []
            for path in paths:
                _, writer = await asyncio.open_connection("127.0.0.1", www)
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                clients.append("{}:{}".format(*writer.get_extra_info("sockname")))
                writers.append(writer)
            async with asyncio.timeout(60):
                while answers.requests < len(paths):
                    await asyncio.sleep(0.01)
            try:
                yield haproxy, clients
            finally:
                answers.held.set()
                for writer in writers:
                    writer.close()


def runtime(socket: Path, *, master: bool = False, timeout: float = 5.0) -> Runtime:
    return Runtime("lb1", HaproxySettings(socket=f"unix://{socket}", master=master, timeout=timeout))


@pytest.mark.parametrize("way", ["admin", "operator", "master"])
async def test_those_of_this_server_and_no_others(tmp_path: Path, binary: Path, way: str) -> None:
    async with held(tmp_path, binary, "/slow/1", "/slow/other", "/slow/2") as (haproxy, clients):
        lb = {
            "admin": lambda: runtime(haproxy.socket),
            "operator": lambda: runtime(haproxy.operator_socket),
            "master": lambda: runtime(haproxy.master_socket, master=True),
        }[way]()
        found = await lb.sessions("shop", "web1", 50)
        assert found.total == 2
        assert {session.client for session in found.oldest} == {clients[0], clients[2]}
        for session in found.oldest:
            assert (session.frontend, session.ref.backend, session.ref.server) == ("www", "shop", "web1")
            assert session.age is not None
            assert session.silence_left is not None
            assert session.silence_left <= 10  # `timeout server`
        (other,) = (await lb.sessions("other", "web1", 50)).oldest
        assert other.client == clients[1]
        assert await lb.sessions("shop", "web2", 50) == Sessions(0, ())
        assert (await lb.sessions("shop", "web1", 1)).total == 2
        assert len((await lb.sessions("shop", "web1", 1)).oldest) == 1


async def test_one_of_several_is_ended_by_its_id(tmp_path: Path, binary: Path) -> None:
    async with held(tmp_path, binary, "/slow/1", "/slow/other", "/slow/2") as (haproxy, _):
        lb = runtime(haproxy.socket)
        every = await lb.list_sessions([("shop", "web1"), ("shop", "web2"), ("other", "web1")])
        assert Counter(session.backend for session in every.sessions) == {"shop": 2, "other": 1}
        both = (await lb.list_sessions([("shop", "web1"), ("shop", "web2")])).sessions
        assert [session.backend for session in both] == ["shop", "shop"]
        own = (await lb.list_sessions([("shop", "web1")])).sessions
        await lb.write(shutdown_listed([own[0].id]))
        async with asyncio.timeout(60):
            while len(left := (await lb.list_sessions([("shop", "web1")])).sessions) > 1:
                await asyncio.sleep(0.01)
        assert [session.id for session in left] == [own[1].id]
        with pytest.raises(Refused, match="No such session"):
            await lb.write(shutdown_listed(["0x1", own[1].id]))  # the second one is ended all the same
        async with asyncio.timeout(60):
            while (await lb.list_sessions([("shop", "web1")])).sessions:
                await asyncio.sleep(0.01)
        assert len((await lb.list_sessions([("other", "web1")])).sessions) == 1


async def test_the_age_grows(tmp_path: Path, binary: Path) -> None:
    async with held(tmp_path, binary, "/slow") as (haproxy, _):
        lb = runtime(haproxy.socket)
        async with asyncio.timeout(60):
            while True:
                (found,) = (await lb.sessions("shop", "web1", 50)).oldest
                if (found.age or 0) >= 2:
                    break
                await asyncio.sleep(0.1)


async def test_a_level_that_is_too_low_is_said(tmp_path: Path, binary: Path) -> None:
    async with held(tmp_path, binary) as (haproxy, _):
        with pytest.raises(PermissionDenied, match="Permission denied; it needs level operator or admin"):
            await runtime(haproxy.user_socket).sessions("shop", "web1", 50)
        with pytest.raises(PermissionDenied, match="Permission denied; it needs level operator or admin"):
            await runtime(haproxy.user_socket).list_sessions([("shop", "web1")])


async def test_one_that_says_nothing_is_unreachable(tmp_path: Path, binary: Path) -> None:
    async with held(tmp_path, binary) as (haproxy, _):
        haproxy.freeze()
        try:
            with pytest.raises(Unreachable, match="no complete answer"):
                await runtime(haproxy.socket, timeout=0.3).sessions("shop", "web1", 50)
        finally:
            haproxy.thaw()
