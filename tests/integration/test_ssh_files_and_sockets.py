"""Files and unix sockets of a host, over SSH on a real OpenSSH server."""

import asyncio
import os
from pathlib import Path

import pytest

from backends.errors import Refused, Unreachable, UnreadableReply
from backends.hosts.ssh import SshHost
from tests.integration.ssh_logins import watchful_settings
from tests.support.servers.sshd import Sshd, running_sshd


async def test_files_are_read_or_refused(host: SshHost, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("Grüße\n")
    assert await host.read_file(f"{tmp_path}/a file", 100) == "Grüße\n"
    with pytest.raises(Refused, match="No such file"):
        await host.read_file(f"{tmp_path}/none", 100)


async def test_a_file_that_is_too_long_is_not_half_read(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 2000)
    host = SshHost("web1", sshd.alias, watchful_settings(sshd, max_output=1000))
    try:
        assert len(await host.read_file(f"{tmp_path}/long", 2000)) == 2000
        with pytest.raises(UnreadableReply, match="longer than 1,999 bytes"):
            await host.read_file(f"{tmp_path}/long", 1999)
    finally:
        await host.close()


async def test_what_is_no_regular_file_is_not_opened(host: SshHost, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (f"{tmp_path}/fifo", "/dev/zero", str(tmp_path)):
        with pytest.raises(Refused, match="not a regular file"):
            await host.read_file(path, 100)


async def test_a_unix_socket_over_there_is_an_ordinary_stream(host: SshHost, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        writer.write(b"\xff" + line.upper())
        writer.close()
        await writer.wait_closed()

    path = str(tmp_path / "stats.sock")
    async with await asyncio.start_unix_server(answer, path):
        for _ in range(20):  # more than sshd allows sessions
            reader, writer = await host.open_unix(path)
            writer.write(b"show info\n")
            assert await reader.read() == b"\xffSHOW INFO\n"
            writer.close()
            await writer.wait_closed()


async def test_a_stream_that_is_cut_is_an_os_error(sshd: Sshd, host: SshHost, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    path = str(tmp_path / "stats.sock")
    async with await asyncio.start_unix_server(say_nothing, path):
        reader, writer = await host.open_unix(path)
        sshd.kill_sessions()
        with pytest.raises(OSError, match=r"[Cc]onnection"):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await asyncio.wait_for(ended.wait(), 10)  # or its connection is left to whatever test comes next


async def test_a_socket_that_cannot_be_opened_says_why(host: SshHost, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"none\.sock: no such socket"):
        await host.open_unix(f"{tmp_path}/none.sock")
    (tmp_path / "file.sock").touch()
    with pytest.raises(Unreachable, match=r"file\.sock: nothing listens"):
        await host.open_unix(f"{tmp_path}/file.sock")


async def test_a_server_that_forbids_sockets_is_mentioned(
    tmp_path: Path,
) -> None:
    with running_sshd(tmp_path, extra=["AllowStreamLocalForwarding no"]) as sshd:
        host = SshHost("web1", sshd.alias, watchful_settings(sshd))
        try:
            with pytest.raises(Unreachable, match="AllowStreamLocalForwarding"):
                await host.open_unix(f"{tmp_path}/sshd/sshd.log")
        finally:
            await host.close()
