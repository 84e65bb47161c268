"""Commands on this machine keep the same contract as over SSH."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from backends.command import Command, CommandFinished, CommandReport, CommandStarted
from backends.errors import PermissionDenied, Refused, UnknownOutcome, Unreachable
from backends.hosts.local import LocalHost
from tests.integration.test_ssh import HOSTILE, until
from tests.support.recorder import exchanges


@pytest.fixture
def host() -> LocalHost:
    return LocalHost("here")


async def end(host: LocalHost, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while await host.alive(pid):
            await asyncio.sleep(0.02)


async def test_a_command_gives_its_output_and_exit_status(host: LocalHost) -> None:
    await host.connect()
    result = await host.run(Command.shell("echo out; echo err >&2; exit 7"))
    assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "err\n", 7)
    await host.close()


async def test_arguments_arrive_byte_for_byte(host: LocalHost) -> None:
    result = await host.run(Command(("printf", r"%s\0", *HOSTILE)), track=True)
    assert tuple(result.stdout.split("\0")[:-1]) == HOSTILE


async def test_death_by_a_signal_is_128_and_its_number(host: LocalHost) -> None:
    assert (await host.run(Command.shell("kill -TERM $$"))).exit_status == 128 + signal.SIGTERM


@pytest.mark.parametrize("track", [False, True])
async def test_what_cannot_be_started_is_what_a_shell_makes_of_it(
    host: LocalHost, tmp_path: Path, track: bool
) -> None:
    (tmp_path / "locked").touch(mode=0o600)
    missing = await host.run(Command(("no-such-command-here",)), track=track)
    locked = await host.run(Command((f"{tmp_path}/locked",)), track=track)
    assert (missing.exit_status, locked.exit_status) == (127, 126)
    assert "no-such-command-here" in missing.last_line


async def test_standard_input_is_closed(host: LocalHost) -> None:
    assert (await host.run(Command(("cat",)), timeout=10)).stdout == ""


async def test_big_output_is_cut_and_does_not_hold_the_command_up() -> None:
    host = LocalHost("here", max_output=1000)
    result = await host.run(Command.shell("head -c 5000000 /dev/zero | tr '\\0' x; echo e >&2"))
    assert (result.stdout, result.stderr) == ("x" * 1000, "e\n")
    assert result.truncated
    assert result.ok


async def test_all_of_a_big_output_arrives(host: LocalHost) -> None:
    result = await host.run(Command.shell("head -c 1000000 /dev/zero | tr '\\0' x"))
    assert len(result.stdout) == 1_000_000


async def test_a_daemon_left_behind_does_not_keep_us_waiting(host: LocalHost) -> None:
    result = await host.run(Command.shell("sleep 30 & echo $!"), timeout=20)
    await end(host, int(result.stdout))
    assert result.ok


@pytest.mark.parametrize("track", [False, True])
async def test_what_runs_past_its_time_is_unknown_and_goes_on(host: LocalHost, track: bool) -> None:
    with pytest.raises(UnknownOutcome, match=r"no end within 0\.3 s; it may still") as caught:
        await host.run(Command(("sleep", "30")), timeout=0.3, track=track)
    pid = caught.value.pid
    assert pid is not None
    assert os.getsid(pid) == pid  # a session of its own: the terminal's Ctrl-C is not for it
    assert await host.alive(pid)
    await end(host, pid)


async def test_behind_a_prefix_only_a_tracked_pid_is_told() -> None:
    host = LocalHost("here", prefix="env -u NOTHING sh -c '\"$@\"; true' sh")
    with pytest.raises(UnknownOutcome) as untracked:
        await host.run(Command(("sleep", "0.5")), timeout=0.2)
    with pytest.raises(UnknownOutcome) as tracked:
        await host.run(Command(("sleep", "30")), timeout=0.3, track=True)
    assert untracked.value.pid is None
    assert tracked.value.pid
    os.kill(tracked.value.pid, signal.SIGKILL)


async def test_a_tracked_command_is_told_while_it_runs() -> None:
    began: list[CommandStarted] = []
    said = asyncio.Event()

    def record(report: CommandReport) -> None:
        if isinstance(report, CommandStarted):
            began.append(report)
            said.set()

    host = LocalHost("here", prefix="env", listener=record)
    running = asyncio.create_task(host.run(Command(("sleep", "30")), track=True))
    async with asyncio.timeout(60):
        await said.wait()
    [command] = began
    assert (command.target, command.command) == ("here", "env sleep 30")
    assert await host.alive(command.pid, command.started)
    assert not await host.alive(command.pid, command.started - 1), "another process with its number is not it"
    os.kill(command.pid, signal.SIGKILL)
    assert (await running).exit_status == 128 + signal.SIGKILL
    assert not await host.alive(command.pid, command.started)


def is_of_the_kernel(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "kthreadd" in status.read_text()


@pytest.mark.skipif(not is_of_the_kernel(2), reason="in a container process 2 is none of the kernel's")
async def test_a_thread_of_the_kernel_is_no_process_of_a_service() -> None:
    assert not await LocalHost("here").alive(2)


async def test_cancelling_returns_at_once_and_leaves_the_command(tmp_path: Path) -> None:
    seen: list[CommandFinished] = []
    host = LocalHost("here", listener=exchanges(seen))
    script = Command.shell(f"echo $$ > {tmp_path}/pid; exec sleep 30")
    running = asyncio.create_task(host.run(script))
    pid = int(await until(tmp_path / "pid"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert [(entry.command, entry.ok) for entry in seen] == [(host.render(script), False)]
    assert await host.alive(pid)
    await end(host, pid)


async def test_many_at_once(host: LocalHost) -> None:
    results = await asyncio.gather(*(host.run(Command(("echo", str(n)))) for n in range(50)))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(50)]


async def test_files_are_read_or_refused(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("Grüße\n")
    assert await host.read_file(f"{tmp_path}/a file", 100) == "Grüße\n"
    with pytest.raises(Refused, match="No such file"):
        await host.read_file(f"{tmp_path}/none", 100)


async def test_a_unix_socket_is_opened_or_says_why(host: LocalHost, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    path = f"{tmp_path}/stats.sock"
    with pytest.raises(Unreachable, match=r"stats\.sock: No such file"):
        await host.open_unix(path)
    async with await asyncio.start_unix_server(answer, path):
        reader, writer = await host.open_unix(path)
        writer.write(b"show info\n")
        assert await reader.read() == b"SHOW INFO\n"
        writer.close()
        await writer.wait_closed()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_file_that_must_not_be_read_is_permission_denied(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0o600)
    nobody = LocalHost("here", prefix="setpriv --reuid=65534 --clear-groups --")
    with pytest.raises(PermissionDenied):
        await nobody.read_file(f"{tmp_path}/secret", 100)
    # Nor does a process of somebody else that may not be signalled count as gone.
    assert await nobody.alive(os.getpid())
