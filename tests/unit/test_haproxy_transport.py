"""One connection for each line, and what each way of losing it is called."""

import asyncio
from pathlib import Path

import pytest

from backends.command import CommandFinished
from backends.errors import (
    BackendError,
    PermissionDenied,
    Refused,
    UnknownOutcome,
    Unreachable,
    UnreadableReply,
)
from backends.haproxy import transport
from backends.haproxy.address import HaproxySettings, SshAddress, TcpAddress, UnixAddress
from backends.haproxy.runtime import Runtime
from backends.haproxy.transport import ByteReader, ByteWriter, Transport
from tests.support.free_ports import free_port
from tests.support.recorder import exchanges
from tests.support.servers.scripted_haproxy import Reply, scripted_haproxy
from tests.support.wait import until

DRAIN = "set server shop/web1 state drain"
PROVE = "set server shop/web1 state drain; set server shop/web1 health down"
SENT = "set severity-output number; "


def runtime(socket: Path, seen: list[CommandFinished] | None = None, *, master: bool = False) -> Runtime:
    settings = HaproxySettings(socket=f"unix://{socket}", timeout=0.2, master=master)
    return Runtime("lb1", settings, listener=exchanges(seen) if seen is not None else None)


async def write(tmp_path: Path, reply: Reply, command: str = DRAIN) -> list[CommandFinished]:
    seen: list[CommandFinished] = []
    async with scripted_haproxy(tmp_path, reply) as scripted:
        try:
            await runtime(scripted.socket, seen).write(command)
        finally:
            assert len(seen) == 1
    return seen


async def test_a_write_is_one_line_and_is_recorded_with_its_raw_reply(tmp_path: Path) -> None:
    seen: list[CommandFinished] = []
    async with scripted_haproxy(tmp_path, Reply(b"\n\n")) as scripted:
        await runtime(scripted.socket, seen).write(DRAIN)
        assert scripted.lines == [SENT + DRAIN]
    assert [(e.target, e.command, e.reply, e.ok) for e in seen] == [("lb1", SENT + DRAIN, "\n\n", True)]


async def test_on_a_master_socket_each_command_is_meant_for_the_worker(tmp_path: Path) -> None:
    async with scripted_haproxy(tmp_path, Reply(b"\n\n")) as scripted:
        await runtime(scripted.socket, master=True).write(PROVE)
        assert scripted.lines == ["@1 set server shop/web1 state drain; @1 set server shop/web1 health down"]


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (b"\n[3]: No such server.\n\n", Refused, "No such server."),
        (b"\n[3]: Permission denied\n\n", PermissionDenied, "Permission denied"),
        (b"\n[4]: Proxy is disabled.\n\n", Refused, "Proxy is disabled."),
        (b"\nno severity here\n\n", Refused, "no severity here"),
        (b"\n[6]: Unknown command\n  help\n\n  quit\n\n", Refused, "Unknown command help; quit"),
        (b"", UnknownOutcome, "cut off"),
        (b"\n", UnknownOutcome, "cut off"),
        (b"\n[3]: No such ser", UnknownOutcome, "No such ser"),
        (b"\n[3]: No such server.\n", UnknownOutcome, "cut off"),
    ],
)
async def test_what_a_reply_to_a_write_means(
    tmp_path: Path, reply: bytes, error: type[BackendError], words: str
) -> None:
    with pytest.raises(BackendError) as caught:
        await write(tmp_path, Reply(reply))
    assert type(caught.value) is error
    assert words in caught.value.problem
    assert "[3]" not in caught.value.problem


async def test_a_line_that_was_refused_in_part_says_which_part(tmp_path: Path) -> None:
    reply = Reply(b"\n\n[3]: cannot change health on a tracking server.\n\n")
    with pytest.raises(Refused) as caught:
        await write(tmp_path, reply, PROVE)
    assert caught.value.problem == (
        "`set server shop/web1 health down`: cannot change health on a tracking server."
        " (the rest of the line was executed)"
    )


async def test_half_of_a_line_answered_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownOutcome, match="cut off"):
        await write(tmp_path, Reply(b"\n\n"), PROVE)


@pytest.mark.parametrize(
    "reply",
    [Reply(hang=True), Reply(b"\n", hang=True), Reply(deaf=True, hang=True), Reply(reset=True)],
    ids=["silent", "silent after half", "deaf", "reset"],
)
async def test_an_answer_that_does_not_come_is_unknown_for_a_write(tmp_path: Path, reply: Reply) -> None:
    with pytest.raises(UnknownOutcome):
        await write(tmp_path, reply)


@pytest.mark.parametrize(
    "reply", [Reply(hang=True), Reply(b"Name: HAProxy\n", hang=True)], ids=["silent", "half"]
)
async def test_an_answer_that_does_not_come_is_unreachable_for_a_read(tmp_path: Path, reply: Reply) -> None:
    async with scripted_haproxy(tmp_path, reply) as scripted:
        with pytest.raises(Unreachable, match=r"no complete answer within 0\.2 s"):
            await runtime(scripted.socket).snapshot(["shop"])


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", UnreadableReply),
        (b"\n", UnreadableReply),
        (b"\x00\xff\xfe garbage \x1b[31m\n\n", UnreadableReply),
        (b"Proxy is disabled.\n\n", UnreadableReply),
        (b"Name: HAProxy\nVersion: 2.6\nPid: 1\nUptime_sec: 1\nStopp", UnreadableReply),
        (b"Can't find the target PID matching the prefix '@1'\n", UnreadableReply),
        (b"Permission denied\n\n", PermissionDenied),
    ],
)
async def test_what_a_reply_to_a_read_means(tmp_path: Path, reply: bytes, error: type[BackendError]) -> None:
    async with scripted_haproxy(tmp_path, Reply(reply)) as scripted:
        with pytest.raises(BackendError) as caught:
            await runtime(scripted.socket).snapshot()
    assert type(caught.value) is error


async def test_a_reply_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_READ_REPLY_BYTES", 1000)
    async with scripted_haproxy(tmp_path, Reply(b"x" * 70_000)) as scripted:
        with pytest.raises(UnreadableReply, match="longer than 1,000 bytes; it begins with 'xxx"):
            await runtime(scripted.socket).snapshot()
        with pytest.raises(UnknownOutcome, match="longer than 65,536 bytes; it begins with 'xxx"):
            await runtime(scripted.socket).write(DRAIN)


async def test_nothing_was_sent_when_there_is_no_connection(tmp_path: Path) -> None:
    seen: list[CommandFinished] = []
    with pytest.raises(Unreachable, match=r"none\.sock: No such file or directory"):
        await runtime(tmp_path / "none.sock", seen).write(DRAIN)
    assert [(exchange.reply, exchange.ok) for exchange in seen] == [("", False)]
    closed = Transport("lb1", TcpAddress("127.0.0.1", free_port()))
    with pytest.raises(Unreachable, match="Connection refused"):
        await closed.read("show info")


async def test_a_whole_answer_is_enough_though_the_connection_stays_open(tmp_path: Path) -> None:
    captured = (Path(__file__).parent / "captured" / "2.6-admin.txt").read_bytes()
    replies = [Reply(captured, hang=True), Reply(b"\n\n", hang=True), Reply(b"\n[3]: No.\n\n", hang=True)]
    async with scripted_haproxy(tmp_path, *replies) as scripted:
        lb = runtime(scripted.socket)
        assert (await lb.snapshot()).info.version.startswith("2.6")
        await lb.write(DRAIN)
        with pytest.raises(Refused, match=r"No\."):
            await lb.write(DRAIN)


async def test_reads_are_recorded_only_when_asked_for(tmp_path: Path) -> None:
    seen: list[CommandFinished] = []
    async with scripted_haproxy(tmp_path, Reply(b"x\n\n")) as scripted:
        address = UnixAddress(str(scripted.socket))
        await Transport("lb1", address, listener=exchanges(seen)).read("show info")
        assert seen == []
        await Transport("lb1", address, listener=exchanges(seen), record_reads=True).read("show info")
    assert [(exchange.command, exchange.reply) for exchange in seen] == [("show info", "x\n\n")]


async def test_a_cancelled_write_is_recorded_as_lost(tmp_path: Path) -> None:
    seen: list[CommandFinished] = []
    async with scripted_haproxy(tmp_path, Reply(hang=True)) as scripted:
        lines = Transport("lb1", UnixAddress(str(scripted.socket)), listener=exchanges(seen))
        task = asyncio.create_task(lines.write(DRAIN))
        await until(lambda: bool(scripted.lines))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [(exchange.command, exchange.ok) for exchange in seen] == [(DRAIN, False)]


async def test_connections_at_once_are_bounded(tmp_path: Path) -> None:
    async with scripted_haproxy(tmp_path, Reply(b"x\n\n", hang=True)) as scripted:
        lines = Transport("lb1", UnixAddress(str(scripted.socket)), timeout=5, concurrency=2)
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(lines.read("show info"))
            await until(lambda: scripted.open_now == 2)
            scripted.released.set()
    assert scripted.open_at_once == 2
    assert len(scripted.lines) == 6


async def test_a_socket_over_ssh_is_opened_by_the_host(tmp_path: Path) -> None:
    asked = []

    async def open_unix(path: str) -> tuple[ByteReader, ByteWriter]:
        asked.append(path)
        return await asyncio.open_unix_connection(tmp_path / "scripted.sock")

    address = SshAddress("", "lb1", 0, "/run/h.sock")
    async with scripted_haproxy(tmp_path, Reply(b"x\n\n")):
        assert await Transport("lb1", address, open_unix=open_unix).read("show info") == "x\n\n"
    assert asked == ["/run/h.sock"]
    with pytest.raises(Unreachable, match="needs an SSH host"):
        await Transport("lb1", address).read("show info")


@pytest.mark.parametrize("error", [RuntimeError("channel open failed"), OSError(111, "x")])
async def test_whatever_the_opener_raises_means_that_nothing_was_sent(error: Exception) -> None:
    async def open_unix(path: str) -> tuple[ByteReader, ByteWriter]:
        raise error

    lines = Transport("lb1", SshAddress("", "h", 0, "/s"), open_unix=open_unix)
    with pytest.raises(Unreachable, match=r"/s on h: (channel open failed|Connection refused)"):
        await lines.write(DRAIN)


async def test_an_opener_that_hangs_is_given_up() -> None:
    async def open_unix(path: str) -> tuple[ByteReader, ByteWriter]:
        await asyncio.Event().wait()
        raise AssertionError

    lines = Transport("lb1", SshAddress("", "h", 0, "/s"), timeout=0.05, open_unix=open_unix)
    with pytest.raises(Unreachable, match=r"no connection within 0\.05 s"):
        await lines.write(DRAIN)
