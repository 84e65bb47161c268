"""The demo's world on real parts: it comes up, behaves as it says, and leaves nothing behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import asyncssh
import pytest

from console.demo import watchdog
from console.demo.connection import Connection
from console.demo.haproxy import search_path
from console.demo.load import Load
from console.demo.node import Node
from console.demo.stack import Stack
from tests.support.processes import freeze, thaw
from tests.support.stacks import (
    TunedStack,
    kill_application,
    reload_haproxy,
    restart_haproxy,
    running_version,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"  # short: unix sockets will be in it


@pytest.fixture
async def small(place: Path) -> AsyncIterator[Stack]:
    """Two nodes behind one HAProxy, with applications that start at once."""
    async with TunedStack(place, nodes=2, instances=1, start_delay=0.0) as stack:
        yield stack


async def until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def run_release(node: Node, version: str) -> None:
    """Stop the node's application, for good, and start another version."""
    kill_application(node)
    await until(lambda: node.pid is None)
    node.activate(version)
    assert await node.appctl("start") == 0


async def until_answers(stack: Stack, name: str) -> None:
    async with asyncio.timeout(60):
        while await running_version(stack, name) is None:
            await asyncio.sleep(0.01)


async def health(node: Node) -> tuple[int, bytes]:
    connection = await Connection.open(node.address, node.port)
    response = await connection.get("/health", keep_alive=False)
    return response.status, response.body


def left_behind(directory: Path) -> list[str]:
    """Processes of the stack, its watchdog included, and its sockets."""
    processes = [f"pid {pid}" for pid in watchdog.find_processes(str(directory))]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(directory).encode() in arguments:
            processes.append(entry.read_text().replace("\0", " "))
    return processes + [str(path) for path in directory.glob("*.sock*")]


async def test_everything_is_up_and_load_loses_nothing(place: Path) -> None:
    async with Stack(place) as stack:
        assert len(watchdog.find_processes(str(place))) == 6  # four applications, two HAProxies
        for instance in stack.instances.values():
            assert await instance.statuses() == dict.fromkeys(stack.nodes, "UP")
        assert [await running_version(stack, name) for name in stack.nodes] == ["1.4.2"] * 4
        async with Load(200, stack.frontends, slow_share=0.04) as load:
            await until(lambda: load.started >= 300)
            report = await load.stop()
    assert (report.failures, report.total_failed, report.retried) == ((), 0, 0)
    assert report.total_served == load.started
    assert len(report.served) == 4  # of every kind


async def test_the_demo_does_not_hide_a_node_that_dies_in_rotation(small: Stack) -> None:
    async with Load(200, small.frontends, slow_share=0) as load:
        await until(lambda: load.served.total() > 20)
        kill_application(small.nodes["web1"])
        await until(lambda: load.failed.total() > 0)
        report = await load.stop()
    assert report.failures[0].problem.startswith(("503", "502"))


@pytest.mark.parametrize("transport", ["unix", "tcp", "ssh"])
async def test_configuration_leads_to_the_runtime_api(
    place: Path, transport: Literal["unix", "tcp", "ssh"]
) -> None:
    async with TunedStack(place, nodes=1, instances=1, start_delay=0.0, transport=transport) as stack:
        config = tomllib.loads(stack.config_path.read_text())
        instance = stack.instances["lb1"]
        assert (
            config["haproxy"]["lb1"]["socket"]
            == {
                "unix": f"unix://{instance.socket}",
                "tcp": f"tcp://127.0.0.1:{instance.admin_port}",
                "ssh": f"ssh://lb1{instance.socket}",
            }[transport]
        )
        node = stack.nodes["web1"]
        assert config["apps"]["shop"]["nodes"] == {
            "web1": {"address": "127.0.0.1", "port": node.port, "ssh": "web1"}
        }
        reader, writer = await open_runtime_api(stack, transport)
        writer.write(b"show info\n")
        assert f"Pid: {instance.pid}" in (await reader.read()).decode()
        writer.close()


async def open_runtime_api(stack: Stack, transport: str) -> tuple[Any, Any]:
    instance = stack.instances["lb1"]
    if transport == "unix":
        return await asyncio.open_unix_connection(instance.socket)
    if transport == "tcp":
        return await asyncio.open_connection("127.0.0.1", instance.admin_port)
    connection = await ssh(stack, "lb1")
    return await connection.open_unix_connection(str(instance.socket))


async def ssh(stack: Stack, host: str, **options: Any) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        host,
        config=[str(stack.directory / "ssh_config")],
        known_hosts=str(stack.directory / "known_hosts"),
        agent_path=None,
        **options,
    )


async def test_ssh_runs_commands_in_the_nodes_directory(small: Stack) -> None:
    node = small.nodes["web2"]
    async with await ssh(small, "web2") as connection:
        result = await connection.run('pwd; echo "$HOME"; cat; echo oops >&2; exit 7', input="typed\n")
        assert result.stdout == f"{node.directory}\n{node.directory}\ntyped\n"
        assert (result.stderr, result.exit_status) == ("oops\n", 7)
        assert (await connection.run("./appctl status")).stdout == f"running, pid {node.pid}\n"
        assert (await connection.run("kill -KILL $$")).exit_signal == ("KILL", False, "", "en-US")
        assert len(str((await connection.run("head -c 3000000 /dev/zero")).stdout)) == 3_000_000
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/run/anything.sock")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", node.port)


async def test_a_command_goes_on_when_its_connection_is_lost(small: Stack) -> None:
    mark = small.nodes["web1"].directory / "went_on"
    async with await ssh(small, "web1") as connection:
        process = await connection.create_process("echo started; sleep 0.3; echo lost; touch went_on")
        assert await process.stdout.readline() == "started\n"
        small.ssh_hosts["web1"].drop()
        await until(mark.exists)


async def test_ssh_can_go_away_and_come_back_with_the_same_key(small: Stack) -> None:
    await small.ssh_hosts["web1"].stop()
    with pytest.raises(ConnectionRefusedError):
        await ssh(small, "web1")
    await small.ssh_hosts["web1"].start()
    async with await ssh(small, "web1") as connection:
        assert (await connection.run("true")).exit_status == 0


async def test_ssh_takes_only_the_stacks_key(small: Stack) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await ssh(small, "web1", client_keys=[stranger])
    with pytest.raises(asyncssh.PermissionDenied):
        await ssh(small, "web1", client_keys=None, password="demo")


async def test_openssh_understands_the_ssh_config(small: Stack) -> None:
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", str(small.directory / "ssh_config"), "web1", "./appctl", "status"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.decode() == f"running, pid {small.nodes['web1'].pid}\n"


async def test_stop_closes_the_port_finishes_the_request_and_then_ends(small: Stack) -> None:
    node = small.nodes["web1"]
    connection = await Connection.open(node.address, node.port)
    request = asyncio.create_task(connection.get("/slow?seconds=1"))
    await asyncio.sleep(0.2)  # it has arrived
    assert await node.appctl("stop") == 0
    async with asyncio.timeout(5):
        while await is_open(node.port):
            await asyncio.sleep(0.01)
    assert node.pid is not None  # still working: a closed port alone proves nothing
    assert await node.appctl("status") == 0
    assert (await request).status == 200
    await until(lambda: node.pid is None)
    assert await node.appctl("status") == 3


async def test_a_download_takes_its_time_and_arrives_whole(small: Stack) -> None:
    reader, writer = await asyncio.open_connection(*small.frontends[0])
    writer.write(b"GET /download?seconds=0.1 HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
    reply = await reader.read()
    writer.close()
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (reply.count(b"x" * 0x1000), reply[-5:]) == (10, b"0\r\n\r\n")


async def test_another_release_runs_after_a_change_of_the_link(small: Stack) -> None:
    node = small.nodes["web1"]
    assert node.installed == "1.4.2"
    node.activate("1.5.0")
    assert (node.installed, await running_version(small, "web1")) == ("1.5.0", "1.4.2")
    await run_release(node, "1.5.0")
    await until_answers(small, "web1")
    assert await running_version(small, "web1") == "1.5.0"


async def test_a_release_that_never_becomes_healthy(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", healthy=False)
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    assert await health(node) == (503, b'{"status": "DOWN"}')


async def test_a_release_that_starts_slowly_runs_before_its_port_is_open(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", start_delay=30)
    await run_release(node, "2.0.0")
    assert await node.appctl("status") == 0
    assert not await is_open(node.port)
    assert await running_version(small, "web1") is None


async def test_a_release_that_dies_after_its_start(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", exit_after=0.2)
    await run_release(node, "2.0.0")
    assert node.pid is not None
    await until(lambda: node.pid is None)
    assert await node.appctl("status") == 3


async def test_a_release_that_ignores_sigterm(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", ignore_sigterm=True)
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    assert await node.appctl("stop") == 0
    await asyncio.sleep(0.3)
    assert await running_version(small, "web1") == "2.0.0"


async def test_a_release_that_reports_another_version(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", reports_version="1.4.2")
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    assert (node.installed, await running_version(small, "web1")) == ("2.0.0", "1.4.2")


async def test_reload_replaces_the_worker_and_fails_nothing(small: Stack) -> None:
    instance = small.instances["lb1"]
    before = instance.pid
    async with Load(200, small.frontends, slow_share=0.02) as load:
        await until(lambda: load.served.total() > 50)
        await reload_haproxy(instance)
        seen = load.served.total()
        await until(lambda: load.served.total() > seen + 50)
        report = await load.stop()
    assert instance.pid != before
    assert report.failures == ()


async def test_haproxy_can_be_killed_started_and_frozen(small: Stack) -> None:
    instance = small.instances["lb1"]
    await instance.kill()
    with pytest.raises(ConnectionRefusedError):
        await instance.ask("show info")
    await instance.start()
    freeze(instance.pid)
    reader, writer = await asyncio.open_unix_connection(instance.socket)
    writer.write(b"show info\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(), 0.2)
    thaw(instance.pid)
    assert b"Uptime" in await reader.read()
    writer.close()
    await restart_haproxy(instance)
    await small.wait_until_up()


async def test_a_normal_user_has_no_sbin_in_the_path(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    assert shutil.which("haproxy", path=search_path())
    async with TunedStack(place, nodes=1, start_delay=0.0) as stack:
        assert await running_version(stack, "web1") == "1.4.2"


async def test_haproxy_that_cannot_start_says_why_and_leaves_nothing(place: Path) -> None:
    with pytest.raises(RuntimeError, match="unknown keyword 'nonsense'"):
        async with TunedStack(place, nodes=1, backend_lines=["nonsense here"]):
            pass
    assert left_behind(place) == []


async def test_nothing_is_left_after_the_end(place: Path) -> None:
    async with TunedStack(place, nodes=1, start_delay=0.0) as stack:
        async with await ssh(stack, "web1") as connection:
            await connection.create_process("sleep 1000")
            assert len(watchdog.find_processes(str(place))) >= 4
            ports = [stack.nodes["web1"].port, stack.nodes["web1"].ssh_port, stack.instances["lb1"].port]
            assert [await is_open(port) for port in ports] == [True] * 3
        assert left_behind(place) != []
    assert left_behind(place) == []
    assert [await is_open(port) for port in ports] == [False] * 3


async def test_nothing_is_left_after_an_exception(place: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with TunedStack(place, nodes=1, start_delay=0.0):
            raise ZeroDivisionError
    assert left_behind(place) == []


@pytest.mark.parametrize("when", ["starting", "running"])
async def test_nothing_is_left_after_a_cancellation(place: Path, when: str) -> None:
    running = asyncio.Event()

    async def demo() -> None:
        async with TunedStack(place, nodes=1, start_delay=60.0 if when == "starting" else 0.0):
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(demo())
    if when == "running":
        await running.wait()
    else:  # the application waits to open its port, and the stack for HAProxy to find it up
        await until(lambda: len(watchdog.find_processes(str(place))) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_behind(place) == []


OWNER = """
import asyncio, sys
from pathlib import Path
from console.demo.stack import Stack

class Small(Stack):
    node_count, instance_count, start_delay = 2, 1, 0.0

async def demo():
    async with Small(Path(sys.argv[1])) as stack:
        await asyncio.create_subprocess_exec("true")
        print(" ".join(str(node.port) for node in stack.nodes.values()), flush=True)
        await asyncio.Event().wait()

asyncio.run(demo())
"""


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
async def test_nothing_is_left_when_the_owning_process_is_ended(place: Path, by: signal.Signals) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(place)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert owner.stdout is not None
        ports = [int(port) for port in (await owner.stdout.readline()).split()]
        assert [await is_open(port) for port in ports] == [True, True]
        assert len(watchdog.find_processes(str(place))) == 3
        os.kill(owner.pid, by)
        await owner.wait()
        await until(lambda: left_behind(place) == [])
        assert [await is_open(port) for port in ports] == [False, False]
    finally:
        if owner.returncode is None:
            owner.kill()
            await owner.wait()
