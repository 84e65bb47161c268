"""Logs that are followed on real hosts: what arrives, and that nothing runs on when nobody reads any more."""

import asyncio
import os
from pathlib import Path

import pytest

from backends.command import Command
from backends.errors import Refused, Unreachable
from backends.hosts.local import LocalHost
from backends.hosts.ssh import SshHost
from backends.output_stream import OutputStream
from backends.protocols import Host
from backends.services.command import CommandService, CommandSettings
from tests.support.processes import find_readers
from tests.support.servers.sshd import Sshd
from tests.support.wait import until


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "shop.log"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    return path


async def until_unread(log: Path) -> None:
    async def is_unread() -> bool:
        return not find_readers(log)

    await until(is_unread)


async def lines_of(stream: OutputStream, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += await stream.read_lines()
    return found


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def rotate(log: Path) -> None:
    log.rename(log.with_suffix(".1"))
    log.write_text("after the rotation\n")


async def follow(host: Host, log: Path) -> None:
    service = CommandService(host, CommandSettings(start="a", stop="b", status="c", log=str(log)), {})
    source = await service.log_source(3, follow=True)
    async with asyncio.timeout(30), host.stream(source.command) as stream:
        assert await lines_of(stream, 3) == ["line 97", "line 98", "line 99"]
        append(log, "\x1b[31mred\x1b[0m \x1b]0;x\x07\n")
        assert await lines_of(stream, 1) == [r"red \x1b]0;x\x07"]
        rotate(log)
        found: list[str] = []
        while "after the rotation" not in found:
            found += await stream.read_lines()
        assert find_readers(log)
    await until_unread(log)  # although nothing more was written
    assert await service.last_lines() == ("after the rotation",)


async def test_on_this_machine(log: Path) -> None:
    await follow(LocalHost("web1"), log)


async def test_over_ssh(host: SshHost, log: Path) -> None:
    await follow(host, log)


async def test_when_the_connection_is_lost_the_command_ends_on_its_host(
    host: SshHost, sshd: Sshd, log: Path
) -> None:
    async with asyncio.timeout(30), host.stream(Command(("tail", "-F", "--", str(log)))) as stream:
        await lines_of(stream, 3)
        sshd.kill_sessions()
        while await stream.read_lines():
            pass
        assert "the connection was lost" in stream.problem
        assert stream.exit_status is None
    await until_unread(log)


async def test_a_pipeline_ends_as_a_whole(log: Path) -> None:
    settings = CommandSettings(
        start="a", stop="b", status="c", log_command=f"tail -n {{lines}} -F {log} | cat | cat"
    )
    host = LocalHost("web1")
    service = CommandService(host, settings, {})
    source = await service.log_source(2, follow=True)
    async with asyncio.timeout(30), host.stream(source.command) as stream:
        assert await lines_of(stream, 2) == ["line 98", "line 99"]
    await until_unread(log)
    assert await service.last_lines() == tuple(f"line {number}" for number in range(95, 100))
    await until_unread(log)


async def test_one_that_writes_without_end_has_to_wait_and_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = Command.shell(f"echo $$ >{pid}; exec yes")
    async with asyncio.timeout(30), LocalHost("web1").stream(command) as stream:
        assert "y" in await stream.read_lines()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_exit_statuses_and_what_cannot_be_started(host: SshHost) -> None:
    local = LocalHost("web1")
    for where in (local, host):
        async with where.stream(Command.shell("echo out; echo err >&2; exit 7")) as stream:
            found: list[str] = []
            while lines := await stream.read_lines():
                found += lines
            assert (sorted(found), stream.exit_status) == (["err", "out"], 7)
    async with local.stream(Command(("/absent/program",))) as stream:
        assert "/absent/program" in (await stream.read_lines())[0]
    with pytest.raises(Refused, match="NUL"):
        async with local.stream(Command(("a\0b",))):
            pass
    with pytest.raises(Unreachable, match="cannot start it"):
        async with LocalHost("web1", prefix="/absent/engine exec").stream(Command(("a",))):
            pass


async def test_a_prefix_that_passes_no_input_on_still_works(log: Path) -> None:
    host = LocalHost("web1", prefix="sh -c 'exec \"$@\" </dev/null' sh")
    async with asyncio.timeout(30), host.stream(Command(("tail", "-F", "--", str(log)))) as stream:
        assert (await lines_of(stream, 10))[-1] == "line 99"
    await until_unread(log)  # tail notices that its output is closed
