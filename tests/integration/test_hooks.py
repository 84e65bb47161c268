"""Hooks as they are: real commands with their children, and a real HTTP server on loopback."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError, ConfigError, Refused, UnknownOutcome, Unreachable
from backends.hooks import HookSettings, make_hook
from tests.support.servers.tcp_listener import listening
from tests.support.wait import until

WHAT = "apps.shop.hooks.0"
PAYLOAD = b'{"moment":"start","reason":"\\"; reboot #$(id)"}'
TOKEN = "t0ken-nobody-sees"


async def fire(timeout: float = 5.0, **settings: str) -> None:
    hook = HookSettings(events=["start"], timeout=timeout, **settings)  # type: ignore[arg-type]
    await make_hook(hook, WHAT).fire(PAYLOAD)


async def failing(timeout: float = 5.0, **settings: str) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await fire(timeout, **settings)
    return caught.value


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


# -- commands ---------------------------------------------------------------------------------


async def test_a_command_gets_the_json_and_nothing_interprets_it(tmp_path: Path) -> None:
    await fire(command=f"cat > {tmp_path}/told")
    assert (tmp_path / "told").read_bytes() == PAYLOAD + b"\n"


async def test_a_command_that_does_not_read_is_well() -> None:
    hook = make_hook(HookSettings(events=["end"], command="true"), WHAT)
    await hook.fire(b"x" * 10_000_000)


async def test_the_status_and_the_last_words_of_a_command() -> None:
    error = await failing(command="echo first >&2; echo out; echo 'no: \x1b[31mred' >&2; exit 3")
    assert isinstance(error, Refused)
    assert str(error) == f"{WHAT} (command): exit status 3: no: \x1b[31mred"
    assert (await failing(command="exit 4")).problem == "exit status 4"
    assert (await failing(command="no-such-command-here")).problem.startswith("exit status 127")


async def test_a_command_that_says_a_lot_is_cut() -> None:
    error = await failing(command="head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1")
    assert len(error.problem) < 500


async def test_a_command_that_hangs_dies_with_its_children(tmp_path: Path) -> None:
    begun = time.monotonic()
    error = await failing(0.3, command=f"sleep 61 & echo $! > {tmp_path}/pid; trap '' TERM; wait; sleep 61")
    assert time.monotonic() - begun < 5
    assert isinstance(error, UnknownOutcome)
    assert error.problem == "did not end within 0.3 s, and was killed"
    child = int((tmp_path / "pid").read_text())
    await until(lambda: gone(child))


async def test_a_command_that_is_no_longer_wanted_dies_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    task = asyncio.create_task(fire(60, command=f"sleep 62 & echo $! > {pid}; wait"))
    await until(lambda: pid.exists() and pid.read_text().strip() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: gone(int(pid.read_text())))


async def test_a_command_that_is_no_longer_wanted_while_it_starts_dies_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it may have children before its start is known here."""
    pid = tmp_path / "pid"
    start = asyncio.create_subprocess_exec

    async def start_slowly(*argv: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*argv, **options)
        await until(lambda: pid.exists() and pid.read_text().strip() != "")
        await asyncio.sleep(0.2)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_slowly)
    task = asyncio.create_task(fire(60, command=f"sleep 62 & echo $! > {pid}; wait"))
    await until(lambda: pid.exists() and pid.read_text().strip() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: gone(int(pid.read_text())))


async def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    await fire(30, command=f"sleep 63 & echo $! > {tmp_path}/pid")
    child = int((tmp_path / "pid").read_text())
    assert not gone(child)
    os.kill(child, 9)
    error = await failing(30, command=f"sleep 64 & echo $! > {tmp_path}/pid; echo no >&2; exit 1")
    assert error.problem == "exit status 1: no"
    assert time.monotonic() - begun < 10
    os.kill(int((tmp_path / "pid").read_text()), 9)


async def test_a_command_has_no_terminal_and_a_group_of_its_own(tmp_path: Path) -> None:
    await fire(command=f"ps -o pgid= -o pid= -p $$ > {tmp_path}/ids || echo $$ $$ > {tmp_path}/ids")
    group, pid = (tmp_path / "ids").read_text().split()
    assert group == pid


# -- URLs -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def receiving(
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n", *, pause: float = 0.0
) -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server that keeps what it is sent. Yields its URL, and each head with its body."""
    heard: list[tuple[str, bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        heard.append((head, await reader.readexactly(int(lengths[0].partition(":")[2]))))
        await asyncio.sleep(pause)
        writer.write(answer)
        await writer.drain()

    async with listening(handle) as port:
        yield f"http://127.0.0.1:{port}/rollouts", heard


async def test_a_url_gets_the_json_by_post() -> None:
    async with receiving() as (url, heard):
        await fire(url=url)
    [(head, body)] = heard
    assert head.startswith("POST /rollouts HTTP/1.1\r\n")
    assert "content-type: application/json\r\n" in head.lower()
    assert "authorization" not in head.lower()
    assert body == PAYLOAD


async def test_a_token_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOKEN", TOKEN)
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 17\r\n\r\n" + TOKEN.encode()
    async with receiving(answer) as (url, heard):
        error = await failing(url=url, token_env="CHAT_TOKEN")
    assert f"authorization: bearer {TOKEN}\r\n" in heard[0][0].lower()
    assert TOKEN not in str(error)
    assert error.problem == "HTTP 401, expected 2xx"


async def test_a_token_that_cannot_be_used_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOKEN", f"{TOKEN}\nX: y")
    with pytest.raises(ConfigError, match=rf"{WHAT}\.token: is not fit") as caught:
        await fire(url="http://127.0.0.1:1/", token_env="CHAT_TOKEN")
    assert TOKEN not in str(caught.value)
    with pytest.raises(ConfigError, match=rf"{WHAT}\.token_env: environment variable NOT_SET is not set"):
        await fire(url="http://127.0.0.1:1/", token_env="NOT_SET")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_any_other_status_is_an_objection(status: int) -> None:
    async with receiving(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\n\r\n" % status) as (url, _):
        error = await failing(url=url)
    assert isinstance(error, Refused)
    assert str(error) == f"{WHAT} (127.0.0.1): HTTP {status}, expected 2xx"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOKEN", TOKEN)
    async with receiving() as (elsewhere, heard):
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"
        async with receiving(answer.encode()) as (url, _):
            error = await failing(url=url, token_env="CHAT_TOKEN")
    assert error.problem == f"HTTP {status}, expected 2xx, and redirects are not followed"
    assert heard == []


async def test_a_server_that_does_not_answer_in_time() -> None:
    async with receiving(pause=30) as (url, _):
        error = await failing(0.2, url=url)
    assert isinstance(error, UnknownOutcome)
    assert error.problem == "timed out after 0.2 s"


async def test_nobody_listens() -> None:
    async with receiving() as (url, _):
        pass
    error = await failing(url=f"{url}/secret-in-the-path")
    assert isinstance(error, Unreachable)
    assert error.problem == "connection refused"
    assert "secret-in-the-path" not in str(error)


async def test_an_answer_that_never_ends_is_not_read() -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n") as (url, heard):
        await fire(url=url)
    assert json.loads(heard[0][1])["moment"] == "start"
