"""The key options and sshd settings of docs/least-rights.md, on a real sshd: what goes with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from backends.command import Command
from backends.errors import Unreachable
from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.model import Admin, ServerRef
from tests.support.guide import block
from tests.support.servers.haproxy import haproxy_paths, running_haproxy
from tests.support.servers.sshd import Sshd, running_sshd

WEB1 = ServerRef("lb1", "shop", "web1")
SECTIONS = "backend shop\n    server web1 127.0.0.1:1 on-marked-down shutdown-sessions\n"


@asynccontextmanager
async def listening_at(path: Path) -> AsyncIterator[None]:
    """A unix socket that anybody may open."""
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
    async with server:
        yield


@asynccontextmanager
async def reached(
    place: Path, kind: str, socket: Path, *, options: str = "", settings: str = ""
) -> AsyncIterator[tuple[Sshd, SshHost]]:
    """A machine of this kind, whose sshd and key are as the guide says.

    Args:
        place: an empty folder.
        kind: `node` or `balancer`.
        socket: of HAProxy.
        options: of the key, instead of the guide's.
        settings: of sshd, instead of the guide's.
    """
    with running_sshd(place) as sshd:
        own = options or block(f"authorized_keys {kind}").partition(" ssh-ed25519 ")[0]
        public = sshd.client_key.with_suffix(".pub").read_text()
        (sshd.folder / "authorized_keys").write_text(f"{_here(own, sshd, socket)} {public}")
        with (sshd.folder / "sshd_config").open("a") as file:
            file.write(_here(settings or block(f"sshd_config {kind}"), sshd, socket))
        sshd.shut_down()
        sshd.start()
        host = SshHost("edge", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
        try:
            yield sshd, host
        finally:
            await host.close()


def _here(text: str, sshd: Sshd, socket: Path) -> str:
    for old, new in (
        ("User rolldeck", f"User {sshd.user}"),
        ("10.0.0.5", "127.0.0.1"),
        ("/run/haproxy/rolldeck.sock", str(socket)),
    ):
        text = text.replace(old, new)
    return text


async def refuses_all_else(sshd: Sshd) -> None:
    """Neither a TCP port, in either direction, nor a listening unix socket, nor a terminal."""
    async with asyncssh.connect(
        "127.0.0.1",
        sshd.port,
        username=sshd.user,
        client_keys=[str(sshd.client_key)],
        known_hosts=str(sshd.known_hosts),
        config=None,
        agent_path=None,
    ) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", sshd.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", sshd.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_path(str(sshd.folder / "there"), str(sshd.folder / "here"))
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("id", term_type="xterm")


async def test_a_node_runs_commands_and_nothing_else(tmp_path: Path) -> None:
    async with listening_at(tmp_path / "any.sock"), reached(tmp_path, "node", tmp_path) as (sshd, host):
        assert (await host.run(Command(("echo", "ok")))).stdout == "ok\n"
        await refuses_all_else(sshd)
        with pytest.raises(Unreachable, match="AllowStreamLocalForwarding"):
            await host.open_unix(str(tmp_path / "any.sock"))


@pytest.mark.skipif(not haproxy_paths(), reason="no haproxy on this machine")
async def test_of_a_load_balancer_one_socket_is_opened_and_nothing_else(tmp_path: Path) -> None:
    async with (
        listening_at(tmp_path / "any.sock"),
        running_haproxy(tmp_path / "h", haproxy_paths()[0], SECTIONS) as haproxy,
        reached(tmp_path / "s", "balancer", haproxy.socket) as (sshd, host),
    ):
        settings = HaproxySettings(socket=f"ssh://edge{haproxy.socket}")
        balancer = Runtime("lb1", settings, open_unix=host.open_unix, read_file=host.read_file)
        await balancer.write(commands.maint(WEB1))
        assert (await balancer.snapshot(["shop"])).servers[0].admin is Admin.FORCED_MAINT
        assert (await balancer.facts()).shutdown_on_marked_down == frozenset({"shop"})
        await refuses_all_else(sshd)
        with pytest.raises(Unreachable, match="AllowStreamLocalForwarding"):
            await host.open_unix(str(tmp_path / "any.sock"))


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("restrict", "AllowStreamLocalForwarding yes\n"),
        ("restrict,port-forwarding", "AllowTcpForwarding no\nAllowStreamLocalForwarding local\n"),
        ("restrict,port-forwarding", "AllowStreamLocalForwarding local\nPermitOpen none\n"),
    ],
)
async def test_what_lets_no_unix_socket_through(tmp_path: Path, options: str, settings: str) -> None:
    socket = tmp_path / "h.sock"
    given = {"options": options, "settings": f"Match User rolldeck\n{settings}"}
    async with listening_at(socket), reached(tmp_path, "balancer", socket, **given) as (_, host):
        with pytest.raises(Unreachable, match="AllowStreamLocalForwarding"):
            await host.open_unix(str(socket))


async def test_from_another_address_the_key_is_worth_nothing(tmp_path: Path) -> None:
    async with reached(tmp_path, "node", tmp_path, options='restrict,from="10.0.0.6"') as (_, host):
        with pytest.raises(Unreachable):
            await host.run(Command(("true",)))
