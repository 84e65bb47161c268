"""The demo's world on real parts: it comes up, behaves as it says, and leaves nothing behind."""

import asyncio
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Literal

import asyncssh
import pytest

from console.demo import watchdog
from console.demo.haproxy import search_path
from console.demo.load import Load
from console.demo.stack import Stack
from tests.integration.demo_probes import ssh
from tests.support.processes import freeze, thaw
from tests.support.stacks import (
    TunedStack,
    kill_application,
    reload_haproxy,
    restart_haproxy,
    running_version,
)
from tests.support.wait import until


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


async def test_a_socket_that_opens_while_its_connection_is_lost_is_closed(
    small: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        is_closed.set()
        writer.close()

    loop = asyncio.get_running_loop()
    open_socket = loop.create_unix_connection

    async def open_and_drop(*arguments: Any) -> Any:
        opened = await open_socket(*arguments)
        small.ssh_hosts["web1"].drop()
        await connection.wait_closed()
        return opened

    path = str(small.directory / "some.sock")
    async with await asyncio.start_unix_server(serve, path), await ssh(small, "web1") as connection:
        monkeypatch.setattr(loop, "create_unix_connection", open_and_drop)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection(path)
        async with asyncio.timeout(60):
            await is_closed.wait()


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
