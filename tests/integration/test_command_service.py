"""A service with commands of its own, and ports seen on the node, on this machine for real."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.errors import Refused, UnknownOutcome, UnreadableReply
from backends.hosts.local import LocalHost
from backends.hosts.ports import NodePort
from backends.node_state import Activity, ServiceState
from backends.services.command import CommandService, CommandSettings
from tests.support.wait import until

HOST = LocalHost("web1")

CTL = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 4
running() { test -f app.pid && kill -0 "$(cat app.pid)" 2>/dev/null; }
case $1 in
  start)
    running && exit 0
    sleep 60 </dev/null >/dev/null 2>&1 &
    echo $! >app.pid
    echo "started on $2" ;;
  stop) running && kill "$(cat app.pid)"; exit 0 ;;
  status) running && echo up && exit 0; echo down; exit 3 ;;
  *) echo "usage: start, stop, status" >&2; exit 2 ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A home for a service, with blanks and a quote in its name."""
    home = tmp_path / "it's a home"
    home.mkdir()
    ctl = home / "ctl"
    ctl.write_text(CTL)
    ctl.chmod(0o700)
    yield home
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((home / "app.pid").read_text()), signal.SIGKILL)


def service(folder: Path, **settings: str | float) -> CommandService:
    chosen = CommandSettings(
        start=str(settings.get("start", "{home}/ctl start {port}")),
        stop=str(settings.get("stop", "{home}/ctl stop")),
        status=str(settings.get("status", "{home}/ctl status")),
        pid_file="{home}/app.pid",
        timeout=float(settings.get("timeout", 30)),
    )
    return CommandService(HOST, chosen, {"home": str(folder), "port": "8080"})


async def test_start_and_stop_are_read_back(folder: Path) -> None:
    command = service(folder)
    assert (await command.state()).activity is Activity.STOPPED
    await command.start()
    running = await command.state()
    assert running.activity is Activity.RUNNING
    assert running.pid == int((folder / "app.pid").read_text())
    assert await HOST.alive(running.pid)

    await command.stop()

    async def is_down() -> bool:
        return (await command.state()).activity is Activity.STOPPED

    await until(is_down)
    assert not await HOST.alive(running.pid)
    assert (folder / "app.pid").exists()
    stopped = ServiceState(Activity.STOPPED, None, "status command: exit status 3: down")
    assert await command.state() == stopped


async def test_what_the_commands_say_is_in_the_refusal(folder: Path) -> None:
    command = service(folder, start="{home}/ctl strat")
    with pytest.raises(Refused, match="the start command: exit status 2: usage: start, stop"):
        await command.start()


async def test_a_status_command_that_is_not_there_measures_nothing(folder: Path) -> None:
    with pytest.raises(UnreadableReply, match="exit status 127"):
        await service(folder, status="{home}/tcl status").state()


async def test_a_stop_command_that_takes_too_long_may_still_be_running(folder: Path) -> None:
    command = service(folder, stop="exec sleep 30", timeout=0.2)
    with pytest.raises(UnknownOutcome, match="no end within") as lost:
        await command.stop()
    pid = lost.value.pid
    assert pid is not None
    assert await HOST.alive(pid)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_a_port_seen_on_the_node(family: socket.AddressFamily) -> None:
    address = "127.0.0.1" if family is socket.AF_INET else "::1"
    try:
        listener = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"no {address} here")
    port = listener.getsockname()[1]
    with listener:
        assert await NodePort(HOST, port).is_open()
        with socket.create_connection((address, port)) as client:
            # The client's own end is a row of the table too, and no listener.
            assert not await NodePort(HOST, client.getsockname()[1]).is_open()
    assert not await NodePort(HOST, port).is_open()
