"""The control socket: who may use it, what it accepts, and what becomes of one that was left behind."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from backends.errors import UnknownOutcome, Unreachable
from orchestrator.events.actor import Actor
from orchestrator.local import control_socket
from orchestrator.local.control_socket import ControlSocket, SocketProblem, send_line, socket_path
from orchestrator.local.requests import MAX_REQUEST_BYTES, ControlLine, Line, Reply, Sender

PAUSE = ControlLine(what="pause", sender=Sender(name="ann@here"))


class Desk:
    """Accepts everything, and keeps it."""

    def __init__(self) -> None:
        self.lines: list[tuple[Line, Actor]] = []

    async def answer(self, line: Line, actor: Actor) -> Reply:
        self.lines.append((line, actor))
        return Reply(status="accepted")


async def raw(path: Path, text: bytes) -> bytes:
    """Send these bytes, and return the reply."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(text)
    writer.write_eof()
    reply = await reader.read()
    writer.close()
    return reply


async def test_it_is_its_owners_and_says_who_asks(tmp_path: Path) -> None:
    desk, path = Desk(), socket_path(tmp_path / "journal.db", "shop")
    async with ControlSocket(path, desk.answer).listening():
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700
        assert os.listdir(path.parent) == [path.name]
        assert await send_line(path, PAUSE) == Reply(status="accepted")
    assert desk.lines == [(PAUSE, Actor("ann@here", "terminal", os.getuid()))]
    assert not path.exists()


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, path = Desk(), socket_path(tmp_path / "journal.db", "shop")
    async with ControlSocket(path, desk.answer).listening():
        monkeypatch.setattr(control_socket, "peer_uid", lambda _: 12345)
        reply = await send_line(path, PAUSE)
        assert (reply.status, "uid 12345" in reply.text) == ("refused", True)
        monkeypatch.setattr(control_socket, "peer_uid", lambda _: 0)
        assert (await send_line(path, PAUSE)).status == "accepted"
    assert len(desk.lines) == 1


async def test_one_that_was_left_behind_is_replaced_and_a_new_one_is_left_alone(tmp_path: Path) -> None:
    desk, path = Desk(), socket_path(tmp_path / "journal.db", "shop")
    async with ControlSocket(path, desk.answer).listening():
        pass
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(Unreachable, match="refused"):
        await send_line(path, PAUSE)
    broken = ControlSocket(path, desk.answer).listening()
    await broken.__aenter__()
    async with ControlSocket(path, desk.answer).listening():  # by the one who has broken the lock
        await broken.__aexit__(None, None, None)
        assert (await send_line(path, PAUSE)).status == "accepted"
    assert len(desk.lines) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"\xff\xfe\n",
        b"[" * 50_000 + b"\n",
        b'{"type": "control", "what": "destroy", "sender": {"name": "a"}}\n',
        b'{"type": "control", "what": "pause"}\n',
        b'{"type": "control", "what": "pause", "sender": {"name": "a\\u001b[2J"}}\n',
        b'{"type": "control", "what": "pause", "sender": {"name": "a"}, "more": 1}\n',
        b'{"type": "change", "action": "drain", "nodes": 3}\n',
        b"x" * (MAX_REQUEST_BYTES + 1),
    ],
    ids=["nothing", "empty", "bytes", "deep", "action", "nobody", "escape", "field", "change", "long"],
)
async def test_hostile_bytes_are_refused(tmp_path: Path, text: bytes) -> None:
    desk, path = Desk(), socket_path(tmp_path / "journal.db", "shop")
    async with ControlSocket(path, desk.answer).listening():
        reply = await raw(path, text)
        assert b'"status":"refused"' in reply
        assert (await send_line(path, PAUSE)).status == "accepted"  # it goes on listening
    assert desk.lines == [(PAUSE, desk.lines[0][1])]


async def test_who_says_nothing_delays_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "END_TIMEOUT_S", 0.05)
    desk, path = Desk(), socket_path(tmp_path / "journal.db", "shop")
    async with asyncio.timeout(3), ControlSocket(path, desk.answer).listening():
        _, silent = await asyncio.open_unix_connection(str(path))
        assert (await send_line(path, PAUSE)).status == "accepted"
    silent.close()


async def test_a_rollout_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "REPLY_TIMEOUT_S", 0.05)
    path = socket_path(tmp_path / "journal.db", "shop")
    path.parent.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as hung:  # the kernel accepts for a stopped process
        hung.bind(str(path))
        hung.listen()
        with pytest.raises(UnknownOutcome, match=r"no reply within 0\.05 s; it may still"):
            await send_line(path, PAUSE)


async def test_a_path_of_any_length_will_do(tmp_path: Path) -> None:
    desk = Desk()
    path = socket_path(tmp_path / ("d" * 120) / "journal.db", "a/b " * 40)
    async with ControlSocket(path, desk.answer).listening():
        assert (await send_line(path, PAUSE)).status == "accepted"


async def test_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(SocketProblem, match="can be written by everybody"):
        async with ControlSocket(socket_path(tmp_path / "journal.db", "shop"), Desk().answer).listening():
            pass
