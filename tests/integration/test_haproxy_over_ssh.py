"""The Runtime API of a real HAProxy through a real OpenSSH server: sockets and files of the far side."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.model import Admin, ServerRef
from tests.support.servers.haproxy import RunningHaproxy, haproxy_paths, running_haproxy
from tests.support.servers.sshd import Sshd, running_sshd

pytestmark = pytest.mark.skipif(not haproxy_paths(), reason="no haproxy on this machine")

WEB1 = ServerRef("lb1", "shop", "web1")
SECTIONS = "backend shop\n    server web1 127.0.0.1:1 on-marked-down shutdown-sessions\n"


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "s") as server:
        yield server


@pytest.fixture
async def haproxy(tmp_path: Path) -> AsyncIterator[RunningHaproxy]:
    async with running_haproxy(tmp_path / "h", haproxy_paths()[-1], SECTIONS) as running:
        yield running


@pytest.fixture
async def host(sshd: Sshd) -> AsyncIterator[SshHost]:
    host = SshHost("edge", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    yield host
    await host.close()


def runtime(host: SshHost, path: Path, *, master: bool = False, timeout: float = 10.0) -> Runtime:
    settings = HaproxySettings(socket=f"ssh://edge{path}", master=master, timeout=timeout)
    return Runtime("lb1", settings, open_unix=host.open_unix, read_file=host.read_file)


@pytest.mark.parametrize("master", [False, True])
async def test_it_is_read_and_written(host: SshHost, haproxy: RunningHaproxy, master: bool) -> None:
    lb = runtime(host, haproxy.master_socket if master else haproxy.socket, master=master)
    assert (await lb.snapshot(["shop"])).info.pid == haproxy.worker
    await lb.write(commands.maint(WEB1))
    assert (await lb.snapshot(["shop"])).servers[0].admin is Admin.FORCED_MAINT
    with pytest.raises(Refused, match="No such backend"):
        await lb.write(commands.ready(ServerRef("lb1", "none", "web1")))
    assert (await lb.facts()).shutdown_on_marked_down == frozenset({"shop"})


async def test_the_file_that_haproxy_names_may_be_none(host: SshHost, haproxy: RunningHaproxy) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        haproxy.config.unlink()
        make(haproxy.config)
        facts = await runtime(host, haproxy.socket).facts()
        assert facts.unseen == f"HAProxy's configuration file: {haproxy.config}: not a regular file"


async def test_one_connection_serves_all_lines(host: SshHost, haproxy: RunningHaproxy, sshd: Sshd) -> None:
    lb = runtime(host, haproxy.socket)
    for _ in range(20):
        await lb.snapshot(["shop"])
    assert sshd.connections() == 1


async def test_what_is_not_there(host: SshHost, haproxy: RunningHaproxy) -> None:
    with pytest.raises(Unreachable, match=r"none\.sock"):
        await runtime(host, haproxy.folder / "none.sock").write(commands.maint(WEB1))


async def test_a_haproxy_that_hangs_behind_ssh(host: SshHost, haproxy: RunningHaproxy) -> None:
    await host.connect()
    lb = runtime(host, haproxy.socket, timeout=1.0)
    haproxy.freeze()
    try:
        with pytest.raises(Unreachable, match="no complete answer within 1 s"):
            await lb.snapshot(["shop"])
        with pytest.raises(UnknownOutcome, match="no complete answer within 1 s"):
            await lb.write(commands.maint(WEB1))
    finally:
        haproxy.thaw()
