"""What is read of every real HAProxy that is there: its configuration, its tables, its statistics page."""

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from backends.errors import PermissionDenied, Refused
from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.haproxy.stats_page import StatsPage
from backends.model import HASH_ALGORITHMS
from tests.integration.runtime_haproxy import ref, runtime, server, wait_for_server
from tests.support.free_ports import free_port
from tests.support.haproxy_words import WORDS
from tests.support.loop_time import watching_loop
from tests.support.servers.haproxy import RunningHaproxy, haproxy_binaries, running_haproxy, series
from tests.support.wait import until

pytestmark = pytest.mark.parametrize("binary", haproxy_binaries())


async def test_facts_come_from_the_file_that_haproxy_names(haproxy: RunningHaproxy) -> None:
    facts = await runtime(haproxy.socket).facts()
    assert facts.state_file is False
    assert facts.shutdown_on_marked_down == frozenset({"cut"})
    assert await runtime(haproxy.master_socket, master=True).facts() == facts


async def test_the_file_that_haproxy_names_may_be_none(haproxy: RunningHaproxy) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        haproxy.config.unlink()
        make(haproxy.config)
        async with watching_loop() as loop:
            facts = await runtime(haproxy.socket).facts()
        assert facts.unseen == f"HAProxy's configuration file: {haproxy.config}: not a regular file"
        assert loop.longest_s < 1


async def test_through_a_tcp_socket_only_the_file_of_the_settings_is_read(haproxy: RunningHaproxy) -> None:
    named = HaproxySettings(socket=f"tcp://127.0.0.1:{haproxy.port}")
    assert "on a machine we cannot read" in (await Runtime("lb1", named).facts()).unseen
    ours = HaproxySettings(socket=f"tcp://127.0.0.1:{haproxy.port}", config_file=str(haproxy.config))
    assert (await Runtime("lb1", ours).facts()).shutdown_on_marked_down == frozenset({"cut"})


async def test_words_of_its_configuration_are_read_as_haproxy_reads_them(
    tmp_path: Path, binary: Path
) -> None:
    lines = "\n".join(f"    setenv WORD{number} {written}" for number, (written, _) in enumerate(WORDS))
    sections = f"backend shop\nfrontend f\n    bind 127.0.0.1:{free_port()}\n"
    async with running_haproxy(tmp_path / "h", binary, sections, global_lines=lines) as haproxy:
        for number, (_, read) in enumerate(WORDS):
            assert await haproxy.ask(f"show env WORD{number}") == f"WORD{number}={read}\n\n"


async def test_load_and_queue_of_servers_that_are_full(tmp_path: Path, binary: Path) -> None:
    """What finds every server full waits in the queue of the backend, which no server's row has."""
    front = free_port()
    with socket.socket() as silent:  # connections are made, and nobody answers
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        port = silent.getsockname()[1]
        sections = (
            f"frontend www\n    bind 127.0.0.1:{front}\n    default_backend shop\n"
            "backend shop\n    timeout queue 30s\n"
            f"    server web1 127.0.0.1:{port} maxconn 2\n    server web2 127.0.0.1:{port} maxconn 2\n"
        )
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy, AsyncExitStack() as clients:
            lb = runtime(haproxy.socket)
            for _ in range(7):
                _, writer = await asyncio.open_connection("127.0.0.1", front)
                clients.callback(writer.close)
                writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")

            async def is_full() -> bool:
                return (await lb.snapshot(["shop"])).backends[0].queue == 3

            await until(is_full)
            servers = (await lb.snapshot(["shop"])).servers
            assert [(server.sessions, server.queue) for server in servers] == [(2, 0), (2, 0)]
            assert [(found.load.session_limit, found.load.sessions_max) for found in servers] == [(2, 2)] * 2
            assert sum(server.load.rate_max for server in servers) >= 2


async def test_backends_with_confusing_names(haproxy: RunningHaproxy) -> None:
    lb = runtime(haproxy.socket)
    assert [server.ref for server in (await lb.snapshot(["3scale"])).servers] == [ref("web1", "3scale")]
    both = await lb.snapshot(["front-too", "3scale"])  # a frontend has the same name
    assert [server.ref.backend for server in both.servers] == ["3scale", "front-too"]
    assert (await server(lb, "BACKEND")).ref == ref("BACKEND")
    with pytest.raises(Refused, match=r"backend\. 3; there is: shop"):
        await lb.snapshot(["3"])  # the number of a proxy, not a name


async def test_large_tables_are_read_beside_the_loop_and_say_the_same(
    haproxy: RunningHaproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lb = runtime(f"unix://{haproxy.socket}")
    small = [server.ref for server in (await lb.snapshot()).servers]
    monkeypatch.setattr("backends.text.MIN_BESIDE_LENGTH", 1)
    assert small == [server.ref for server in (await lb.snapshot()).servers] != []
    with pytest.raises(Refused, match=r"nowhere"):
        await lb.snapshot(["nowhere"])


async def test_the_statistics_page_of_a_real_haproxy(
    haproxy: RunningHaproxy, front: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lb = runtime(haproxy.socket)
    await wait_for_server(lb, "web1", lambda s: s.in_rotation)
    await lb.write(commands.maint(ref("web2")))
    settings = HaproxySettings(
        stats_url=f"http://127.0.0.1:{front}/stats", username="admin", password_env="ROLLDECK_TEST"
    )
    monkeypatch.setenv("ROLLDECK_TEST", "hunter2")
    page = StatsPage("lb1", settings)

    async def same() -> bool:
        """A check may come between the two."""
        said, known = await page.snapshot(["shop"]), await lb.snapshot(["shop"])
        return [(s.ref, s.status, s.weight, s.has_checks) for s in said.servers] == [
            (s.ref, s.status, s.weight, s.has_checks) for s in known.servers
        ]

    await until(same)
    monkeypatch.setenv("ROLLDECK_TEST", "wrong")
    with pytest.raises(PermissionDenied, match="refused"):
        await StatsPage("lb1", settings).snapshot()


async def test_algorithms_that_hash_are_called_as_we_know_them(tmp_path: Path, binary: Path) -> None:
    """They have static weights unless the hash is consistent, and queue at a full server of their own."""
    hashes = ["source", "uri depth 2", "url_param id", "hdr(x)"]
    hashes += ["hash path"] if series(binary) != "2.2" else []
    front, chosen = free_port(), [*hashes, "rdp-cookie(msts)"]
    with socket.socket() as silent:  # connections are made, and nobody answers
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        lines = [f"frontend www\n    bind 127.0.0.1:{front}"]
        lines += [f"    use_backend fixed{number} if {{ path /{number} }}" for number, _ in enumerate(hashes)]
        for number, kind in enumerate(chosen):
            mode = "    mode tcp\n" if kind not in hashes else ""
            servers = "".join(
                f"    server web{web} 127.0.0.1:{silent.getsockname()[1]} weight 100 maxconn 1\n"
                for web in (1, 2)
            )
            lines += [f"backend fixed{number}\n{mode}    balance {kind}\n{servers}"]
            lines += [f"backend even{number}\n{mode}    balance {kind}\n    hash-type consistent\n{servers}"]
        sections = "\n".join(lines) + "\n"
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy, AsyncExitStack() as clients:
            lb = runtime(haproxy.socket)
            backends = (await lb.snapshot()).backends
            assert {backend.algorithm for backend in backends} == {
                name for name in HASH_ALGORITHMS if name != "hash" or "hash path" in chosen
            }
            facts = await lb.facts()
            assert facts.consistent_hashes == frozenset(f"even{number}" for number, _ in enumerate(chosen))
            for number, _ in enumerate(chosen):
                with pytest.raises(Refused, match="static LB algorithm"):
                    await lb.write(commands.weight(ref("web1", f"fixed{number}"), "50%"))
                await lb.write(commands.weight(ref("web1", f"even{number}"), "50%"))
            for number, _ in enumerate(hashes):
                for _ in range(3):
                    _, writer = await asyncio.open_connection("127.0.0.1", front)
                    clients.callback(writer.close)
                    writer.write(f"GET /{number}?id=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n".encode())

            async def are_queued() -> bool:
                servers = (await lb.snapshot()).servers
                queues = {server.ref.backend: server.queue for server in servers if server.queue}
                return queues == {f"fixed{number}": 2 for number, _ in enumerate(hashes)}

            await until(are_queued)
