"""Logins over SSH: configuration, jump hosts, keys, the agent, and every way in which they can fail."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.command import Command
from backends.errors import Unreachable
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from tests.integration.ssh_logins import enter, refused, run, settings
from tests.support.free_ports import free_port
from tests.support.servers.sshd import Sshd, running_sshd
from tests.support.servers.tcp_listener import listening

TRUE = Command(("true",))


@contextmanager
def running_agent(path: Path) -> Iterator[None]:
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as agent:
        try:
            deadline = time.monotonic() + 30
            while not _listens(path) and time.monotonic() < deadline:
                time.sleep(0.01)
            yield
        finally:
            agent.terminate()


def _listens(path: Path) -> bool:
    """A socket is there before anybody listens on it."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


async def test_settings_alone_are_enough_without_an_ssh_configuration(sshd: Sshd) -> None:
    alone = SshSettings(
        config="",
        user=sshd.user,
        port=sshd.port,
        identity=str(sshd.client_key),
        known_hosts=str(sshd.known_hosts),
    )
    assert await enter(SshHost("web1", "127.0.0.1", alone)) == "in\n"


async def test_a_missing_configuration_that_was_named_is_an_error(tmp_path: Path) -> None:
    text = await refused(SshHost("web1", "node", SshSettings(config=f"{tmp_path}/none")))
    assert "the ssh configuration of node cannot be used" in text
    assert f"{tmp_path}/none" in text


async def test_through_a_jump_host(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path, alias="inner", name="inner") as inner:
        both = sshd.ssh_config.read_text() + inner.ssh_config.read_text() + "  ProxyJump node\n"
        sshd.ssh_config.write_text(both)
        assert await enter(SshHost("web1", "inner", settings(sshd))) == "in\n"
        assert "Accepted publickey" in sshd.log
        assert "Accepted publickey" in inner.log


async def test_through_two_jump_hosts_written_with_user_and_port(sshd: Sshd, tmp_path: Path) -> None:
    common = f"Host *\n  IdentityFile {tmp_path}/key\n  UserKnownHostsFile {tmp_path}/known\n"
    shutil.copy(sshd.client_key, tmp_path / "key")
    with (
        running_sshd(tmp_path, name="second") as second,
        running_sshd(tmp_path, name="third") as third,
    ):
        servers = (sshd, second, third)
        known = "".join(server.known_hosts.read_text() for server in servers)
        (tmp_path / "known").write_text(known)
        for server in (second, third):
            shutil.copy(sshd.folder / "authorized_keys", server.folder / "authorized_keys")
        hops = ",".join(f"{sshd.user}@127.0.0.1:{server.port}" for server in (sshd, second))
        target = f"Host target\n  HostName 127.0.0.1\n  Port {third.port}\n  ProxyJump {hops}\n"
        (tmp_path / "config").write_text(target + common)
        host = SshHost("web1", "target", SshSettings(config=f"{tmp_path}/config"))
        assert await enter(host) == "in\n"
        assert all("Accepted publickey" in server.log for server in servers)


async def test_jumps_in_a_circle_end(sshd: Sshd) -> None:
    circle = "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n"
    sshd.ssh_config.write_text(circle)
    assert "leads back to" in await refused(SshHost("web1", "a", settings(sshd)))


async def test_a_failure_behind_the_jump_host_is_told_and_the_jump_is_left(
    sshd: Sshd, tmp_path: Path
) -> None:
    behind = f"Host inner\n  HostName 127.0.0.1\n  Port {free_port()}\n  ProxyJump node\n"
    sshd.ssh_config.write_text(sshd.ssh_config.read_text() + behind)
    assert "127.0.0.1 port" in await refused(SshHost("web1", "inner", settings(sshd)))
    async with asyncio.timeout(5):
        while sshd.sessions():
            await asyncio.sleep(0.02)


async def test_no_key_is_accepted(sshd: Sshd) -> None:
    (sshd.folder / "authorized_keys").write_text("")
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)))
    assert f"no key was accepted for user {sshd.user} (tried {sshd.client_key} and " in text


async def test_key_files_of_the_configuration_that_are_not_there_are_passed_over(
    sshd: Sshd, tmp_path: Path
) -> None:
    first = sshd.ssh_config.read_text().replace("  User ", f"  IdentityFile {tmp_path}/none\n  User ")
    sshd.ssh_config.write_text(first)
    assert await enter(SshHost("web1", sshd.alias, settings(sshd))) == "in\n"


async def test_a_key_file_of_the_settings_must_be_there(sshd: Sshd, tmp_path: Path) -> None:
    host = SshHost("web1", sshd.alias, settings(sshd, identity=f"{tmp_path}/none"))
    assert f"{tmp_path}/none" in await refused(host)


async def test_an_encrypted_key_asks_for_the_agent(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    encrypt(sshd.client_key)
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)))
    assert "no key was accepted" in text
    assert f"{sshd.client_key} is encrypted: ssh-add it" in text
    assert "sesame" not in text


async def test_the_agent_has_the_key(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent"
    with running_agent(path):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        run("ssh-add", "-q", str(sshd.client_key))
        encrypt(sshd.client_key)
        assert await enter(SshHost("web1", sshd.alias, settings(sshd))) == "in\n"


async def test_nobody_listens() -> None:
    host = SshHost("web1", "127.0.0.1", SshSettings(config="", port=free_port()))
    assert "refused" in (await refused(host)).lower()


async def test_a_name_that_does_not_exist() -> None:
    host = SshHost("web1", "no-such-host.invalid", SshSettings(config=""))
    assert "no-such-host.invalid port 22" in await refused(host)


async def test_a_hung_server_costs_the_login_time_out_only(sshd: Sshd) -> None:
    sshd.stop()
    try:
        text = await refused(SshHost("web1", sshd.alias, settings(sshd, login_timeout=0.3)))
    finally:
        sshd.cont()
    assert "accepts connections, but the login was not done within 0.3 s" in text


async def test_a_full_backlog_costs_the_connect_time_out_only() -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        port = deaf.getsockname()[1]
        silent = SshSettings(config="", port=port, connect_timeout=0.3)
        text = await refused(SshHost("web1", "127.0.0.1", silent))
    assert "no connection within 0.3 s" in text


async def test_something_that_is_not_ssh() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(web) as port:
        host = SshHost("web1", "127.0.0.1", SshSettings(config="", port=port))
        assert f"127.0.0.1 port {port}" in await refused(host)


async def test_callers_who_wait_for_a_connection_share_its_failure(sshd: Sshd) -> None:
    sshd.stop()
    host = SshHost("web1", sshd.alias, settings(sshd, login_timeout=0.5))
    try:
        async with asyncio.timeout(2):  # one after another would take 5 s
            outcomes = await asyncio.gather(*(host.run(TRUE) for _ in range(10)), return_exceptions=True)
    finally:
        sshd.cont()
        await host.close()
    assert [type(outcome) for outcome in outcomes] == [Unreachable] * 10


async def test_a_caller_who_gives_up_does_not_spoil_it_for_the_others(sshd: Sshd) -> None:
    host = SshHost("web1", sshd.alias, settings(sshd))
    try:
        first, second = (asyncio.create_task(host.run(TRUE)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).ok
        assert first.cancelled()
    finally:
        await host.close()


async def test_hosts_share_a_bound_on_logins_at_once(sshd: Sshd) -> None:
    bound = asyncio.Semaphore(2)
    hosts = [SshHost(f"web{n}", sshd.alias, settings(sshd), connecting=bound) for n in range(6)]
    try:
        results = await asyncio.gather(*(host.run(TRUE) for host in hosts))
    finally:
        await asyncio.gather(*(host.close() for host in hosts))
    assert all(result.ok for result in results)
    assert not bound.locked()


def encrypt(key: Path) -> None:
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", str(key))
