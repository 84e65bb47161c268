"""Commands over SSH, on a real OpenSSH server."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from backends.command import Command, CommandFinished
from backends.errors import Refused, UnknownOutcome, Unreachable, UnreadableReply
from backends.hosts.execution import query
from backends.hosts.ssh import SshHost
from tests.integration.ssh_logins import watchful_settings
from tests.support.recorder import exchanges
from tests.support.servers.sshd import Sshd, running_sshd

HOSTILE = (
    "plain",
    "",
    "two words",
    "'single' \"double\" `back`",
    "$(touch hacked) $HOME ${PATH} !!",
    "; rm -rf x & | > out",
    "line one\nline two\ttab",
    "-n",
    "*?[a-z]~",
    "back\\slash",
    "Grüße 日本 🚀",
    "\x1b[31mred\x07",
)


async def until(path: Path) -> str:
    """The text of a file that is about to be written."""
    async with asyncio.timeout(60):
        while not text(path):
            await asyncio.sleep(0.02)
    return text(path)


def text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


async def until_gone(host: SshHost, pid: int) -> None:
    async with asyncio.timeout(60):
        while await host.alive(pid):
            await asyncio.sleep(0.05)


async def test_a_command_gives_its_output_and_exit_status(host: SshHost) -> None:
    result = await host.run(Command.shell("echo out; echo err >&2; exit 7"))
    assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "err\n", 7)
    assert result.target == "web1"
    assert not result.ok
    assert not result.truncated


async def test_arguments_arrive_byte_for_byte(host: SshHost) -> None:
    result = await host.run(Command(("printf", r"%s\0", *HOSTILE)))
    assert tuple(result.stdout.split("\0")[:-1]) == HOSTILE


async def test_an_argument_with_a_nul_byte_is_not_sent(host: SshHost) -> None:
    with pytest.raises(Refused, match="NUL byte"):
        await host.run(Command(("echo", "a\0b")))


async def test_death_by_a_signal_is_128_and_its_number(host: SshHost) -> None:
    assert (await host.run(Command.shell("kill -TERM $$"))).exit_status == 128 + signal.SIGTERM


async def test_a_missing_command_is_an_ordinary_result(host: SshHost) -> None:
    result = await host.run(Command(("no-such-command-here",)))
    assert result.exit_status == 127
    assert "not found" in result.last_line


async def test_standard_input_is_closed(host: SshHost) -> None:
    assert (await host.run(Command(("cat",)), timeout=10)).stdout == ""


async def test_the_prefix_goes_before_every_command(sshd: Sshd) -> None:
    host = SshHost("web1", sshd.alias, watchful_settings(sshd), prefix="env 'FOO=1 2'")
    try:
        result = await host.run(Command.shell("echo $FOO"), track=True)
    finally:
        await host.close()
    assert result.stdout == "1 2\n"
    assert result.command == "env 'FOO=1 2' sh -c 'echo $FOO'"


async def test_big_output_is_cut_and_does_not_hold_the_command_up(sshd: Sshd) -> None:
    host = SshHost("web1", sshd.alias, watchful_settings(sshd, max_output=1000))
    try:
        result = await host.run(Command.shell("head -c 5000000 /dev/zero | tr '\\0' x; echo e >&2"))
    finally:
        await host.close()
    assert result.stdout == "x" * 1000
    assert result.stderr == "e\n"
    assert result.truncated
    assert result.ok


async def test_a_daemon_left_behind_does_not_keep_us_waiting(host: SshHost) -> None:
    result = await host.run(Command.shell("sleep 30 & echo $!"), timeout=20)
    os.kill(int(result.stdout), signal.SIGKILL)
    assert result.ok


async def test_more_commands_than_sessions_wait_for_their_turn(host: SshHost) -> None:
    commands = [host.run(Command.shell(f"sleep 0.02; echo {n}")) for n in range(40)]
    results = await asyncio.gather(*commands)
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(40)]


async def test_a_server_that_allows_fewer_sessions_is_waited_for(tmp_path: Path) -> None:
    with running_sshd(tmp_path, extra=["MaxSessions 2"]) as sshd:
        host = SshHost("web1", sshd.alias, watchful_settings(sshd))
        try:
            results = await asyncio.gather(*(host.run(Command(("true",))) for _ in range(8)))
        finally:
            await host.close()
    assert all(result.ok for result in results)


async def test_concurrent_callers_share_one_connection(sshd: Sshd, host: SshHost) -> None:
    await asyncio.gather(*(host.run(Command(("true",))) for _ in range(5)))
    assert sshd.log.count("Accepted publickey") == 1


async def test_a_busy_host_says_that_nothing_was_sent(sshd: Sshd) -> None:
    host = SshHost("web1", sshd.alias, watchful_settings(sshd, concurrency=1))
    await host.connect()
    try:
        first = asyncio.create_task(host.run(Command(("sleep", "0.5"))))
        await asyncio.sleep(0.05)
        with pytest.raises(Unreachable, match="busy; nothing was sent"):
            await host.run(Command(("true",)), timeout=0.1)
        assert (await first).ok
    finally:
        await host.close()


async def test_what_runs_past_its_time_is_unknown_and_goes_on(host: SshHost) -> None:
    with pytest.raises(UnknownOutcome, match=r"no end within 0\.3 s; it may still") as caught:
        await host.run(Command(("sleep", "30")), timeout=0.3, track=True)
    pid = caught.value.pid
    assert pid is not None
    assert await host.alive(pid)
    os.kill(pid, signal.SIGKILL)
    await until_gone(host, pid)


async def test_cancelling_returns_at_once_and_leaves_the_command(host: SshHost, tmp_path: Path) -> None:
    script = Command.shell(f"echo $$ > {tmp_path}/pid; exec sleep 30")
    running = asyncio.create_task(host.run(script))
    pid = int(await until(tmp_path / "pid"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert await host.alive(pid)
    os.kill(pid, signal.SIGKILL)
    await until_gone(host, pid)


async def test_a_session_cut_mid_command_is_unknown_and_the_command_goes_on(
    sshd: Sshd, host: SshHost, tmp_path: Path
) -> None:
    script = Command.shell(f"echo started > {tmp_path}/started; exec sleep 30")
    running = asyncio.create_task(host.run(script, track=True))
    await until(tmp_path / "started")
    sshd.kill_sessions()
    with pytest.raises(UnknownOutcome, match="connection was lost while it ran") as caught:
        await asyncio.wait_for(running, 10)
    pid = caught.value.pid
    assert pid is not None
    assert await host.alive(pid)  # over a new connection
    os.kill(pid, signal.SIGKILL)
    await until_gone(host, pid)


async def test_a_query_whose_connection_is_cut_is_run_once_more(
    sshd: Sshd, host: SshHost, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = Command.shell(f"echo $$ >> {pids}; test $(wc -l < {pids}) = 2 || exec sleep 60; echo read")
    running = asyncio.create_task(query(host, script, timeout=60))
    first = int(await until(pids))
    sshd.kill_sessions()
    assert (await running).stdout == "read\n"
    os.kill(first, signal.SIGKILL)


async def test_a_lost_connection_is_opened_again_for_the_next_command(sshd: Sshd, host: SshHost) -> None:
    await host.connect()
    sshd.kill_sessions()
    while sshd.connections():
        await asyncio.sleep(0.01)
    assert (await host.run(Command(("echo", "back")))).stdout == "back\n"
    assert sshd.log.count("Accepted publickey") == 2


async def test_a_node_that_falls_silent_mid_command_is_found_by_keepalives(
    sshd: Sshd, host: SshHost, tmp_path: Path
) -> None:
    script = Command.shell(f"echo $$ > {tmp_path}/pid; exec sleep 30")
    running = asyncio.create_task(host.run(script, timeout=60, track=True))
    pid = int(await until(tmp_path / "pid"))
    sshd.stop()
    try:
        with pytest.raises(UnknownOutcome, match="keepalive") as caught:
            await asyncio.wait_for(running, 20)
    finally:
        sshd.cont()
        os.kill(pid, signal.SIGKILL)
    assert caught.value.pid == pid


async def test_a_held_connection_to_a_silent_node_starts_nothing(sshd: Sshd) -> None:
    host = SshHost("web1", sshd.alias, watchful_settings(sshd, login_timeout=0.5))
    await host.connect()
    sshd.stop()
    try:
        with pytest.raises(Unreachable, match="login was not done within"):
            await host.run(Command(("true",)))
    finally:
        sshd.cont()
        await host.close()


async def test_a_zombie_is_gone(host: SshHost, tmp_path: Path) -> None:
    # The shell becomes a sleep that never asks for its child's end.
    script = Command.shell(f"sleep 0.1 & echo $! > {tmp_path}/pid; exec sleep 30")
    running = asyncio.create_task(host.run(script, track=True, timeout=2))
    pid = int(await until(tmp_path / "pid"))
    await until_gone(host, pid)
    assert ") Z " in text(Path(f"/proc/{pid}/stat"))
    with pytest.raises(UnknownOutcome) as caught:
        await running
    assert caught.value.pid
    os.kill(caught.value.pid, signal.SIGKILL)


async def test_a_prefix_that_fails_does_not_count_as_gone(sshd: Sshd) -> None:
    host = SshHost("web1", sshd.alias, watchful_settings(sshd), prefix="false")
    try:
        with pytest.raises(UnreadableReply, match=f"whether process {os.getpid()} lives"):
            await host.alive(os.getpid())
    finally:
        await host.close()


async def test_the_listener_gets_what_can_be_repeated_by_hand(sshd: Sshd) -> None:
    seen: list[CommandFinished] = []
    host = SshHost("web1", sshd.alias, watchful_settings(sshd), listener=exchanges(seen))
    try:
        await host.run(Command.shell("echo out; echo err >&2; exit 3"), track=True)
        await host.run(Command(("true",)), record=False)
        await host.alive(os.getpid())
        with pytest.raises(UnknownOutcome):
            await host.run(Command(("sleep", "0.6")), timeout=0.1)
    finally:
        await host.close()
    assert [(entry.command, entry.reply, entry.ok) for entry in seen] == [
        ("sh -c 'echo out; echo err >&2; exit 3'", "out\nerr\n", False),
        ("sleep 0.6", "no end within 0.1 s; it may still be running", False),
    ]
