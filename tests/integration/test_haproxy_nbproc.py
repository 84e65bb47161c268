"""HAProxy with `nbproc 2` (up to 2.4): a change reaches both processes, or is not made at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.free_ports import free_port
from tests.support.rollouts import ROLLDECK
from tests.support.servers.haproxy import RunningHaproxy, haproxy_paths, running_haproxy, series

OLD = [path for path in haproxy_paths() if series(path) in ("2.2", "2.4")]
needs_nbproc = pytest.mark.skipif(not OLD, reason="no HAProxy with nbproc here")
pytestmark = [needs_nbproc, pytest.mark.matrix]

CONFIG = """\
[journal]
path = "{folder}/journal.db"

{tables}
[apps.shop]
backends = ["shop"]
[apps.shop.access]
transport = "local"
[apps.shop.nodes]
web1 = {{ address = "127.0.0.1", port = {port} }}
web2 = {{ address = "127.0.0.1", port = {port} }}
[apps.shop.service]
kind = "command"
start = "true"
stop = "true"
status = "true"
[apps.shop.version]
kind = "command"
run = "echo 1"
[apps.shop.rollout]
min_available = 1
"""


@asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[RunningHaproxy]:
    sockets = "".join(
        f"    stats socket {folder}/{name}.sock level admin process {number}\n"
        for number, name in enumerate("ab", 1)
    )
    sections = f"backend shop\n    server web1 127.0.0.1:{free_port()}\n    server web2 127.0.0.1:1\n"
    async with running_haproxy(folder, OLD[0], sections, global_lines=f"    nbproc 2\n{sockets}") as haproxy:
        yield haproxy


async def rolldeck(folder: Path, *names: str, arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run it with these sockets as load balancers."""
    tables = "".join(f'[haproxy.{name}]\nsocket = "unix://{folder}/{name}.sock"\n' for name in names)
    file = folder / "config.toml"
    file.write_text(CONFIG.format(folder=folder, tables=tables, port=free_port()))
    process = await asyncio.create_subprocess_exec(
        *(ROLLDECK, "--config", str(file), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def admin(haproxy: RunningHaproxy, name: str) -> str:
    """The admin state of web1, as this process's own socket has it."""
    reader, writer = await asyncio.open_unix_connection(haproxy.folder / f"{name}.sock")
    writer.write(b"show servers state shop\n")
    reply = (await reader.read()).decode()
    writer.close()
    return reply.splitlines()[2].split()[6]


async def test_one_of_two_processes_is_read_and_never_written(tmp_path: Path) -> None:
    async with two_processes(tmp_path / "h") as haproxy:
        for arguments in (
            ("maint", "shop", "web1", "--yes"),
            ("drain", "shop", "web1", "--yes"),
            ("check", "shop"),
        ):
            code, text = await rolldeck(haproxy.folder, "a", arguments=arguments)
            assert code == 3, text
            words = " ".join(text.split())
            assert "process 2" in words
            assert "`stats socket PATH level admin process NUMBER`" in words
        assert [await admin(haproxy, name) for name in "ab"] == ["0", "0"]
        code, text = await rolldeck(haproxy.folder, "a", arguments=("status", "shop", "--json"))
        assert code == 0, text
        assert {json.loads(line)["kind"] for line in text.splitlines()} >= {"load_balancer", "server"}


async def test_with_a_socket_for_each_process_both_hear_it(tmp_path: Path) -> None:
    async with two_processes(tmp_path / "h") as haproxy:
        code, text = await rolldeck(haproxy.folder, "a", "b", arguments=("maint", "shop", "web1", "--yes"))
        assert code == 0, text
        assert [await admin(haproxy, name) for name in "ab"] == ["1", "1"]
