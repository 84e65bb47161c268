"""`rolldeck shell` in a real terminal: over a real sshd, on this machine, and into what a prefix leads to."""

import os
from pathlib import Path

import pytest

from orchestrator.events.operator_commands import OperatorCommandFinished, OperatorCommandStarted
from orchestrator.journal.store import Journal
from tests.support.rollouts import ROLLDECK
from tests.support.servers.sshd import Sshd
from tests.support.terminals import Terminal

WAITS = b"""sh -c 'trap "echo interr""upted; exit" INT; echo re""ady; while :; do sleep 0.1; done'\n"""
CONFIG = """\
[haproxy.lb1]
socket = "unix:///nowhere/admin.sock"
[journal]
path = "{folder}/journal.db"
[ssh]
config = "{ssh}"
[apps.shop]
backends = ["shop"]
service = {{ kind = "command", start = "a", stop = "b", status = "c" }}
install = {{ kind = "none" }}
version = {{ kind = "command", run = "a", pattern = "(.*)" }}
port = 80
[apps.shop.nodes.web1]
address = "127.0.0.1"
ssh = "{alias}"
[apps.shop.nodes.here]
address = "127.0.0.1"
transport = "local"
[apps.shop.nodes.inside]
address = "127.0.0.1"
transport = "local"
prefix = "env INSIDE=yes"
"""


@pytest.fixture
def config(tmp_path: Path, sshd: Sshd) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(folder=tmp_path, ssh=sshd.ssh_config, alias=sshd.alias))
    return path


def opened(config: Path, node: str) -> Terminal:
    home = {"HOME": str(config.parent), "SHELL": "/bin/sh", "PS1": "$ "}
    command = [ROLLDECK, "--config", str(config), "shell", "shop", node]
    return Terminal(command, 100, 30, controlling=True, environment=home)


def journal(config: Path) -> list[tuple[str, list[str], int | None, str]]:
    """Of each shell: its title, the node, how it ended and why."""
    with Journal(config.parent / "journal.db", read_only=True) as book:
        found = []
        for entry in book.entries("shop", commands=True):
            first, last = (record.event for record in book.records(entry.id))
            assert isinstance(first, OperatorCommandStarted)
            assert isinstance(last, OperatorCommandFinished)
            found.append((first.title, first.nodes, last.exit_status, last.error))
        assert book.entries("shop") == []
        return found


async def test_over_ssh_it_is_a_whole_terminal_that_follows_its_size(config: Path) -> None:
    with opened(config, "web1") as terminal:
        terminal.until(b"web1: a shell", 30)
        terminal.type(b"echo size $(stty size) term $TERM\n")
        terminal.until(b"size 30 100 term xterm-256color", 30)
        terminal.resize(90, 25)
        terminal.type(b"sleep 0.2; echo now $(stty size)\n")
        terminal.until(b"now 25 90", 30)
        terminal.type(WAITS)
        terminal.until(b"ready", 30)
        terminal.type(b"\x03")  # a key there, and no signal here
        terminal.until(b"interrupted", 30)
        terminal.type(b"exit 7\n")
        assert await terminal.ends() == 7
    assert journal(config) == [("shell", ["web1"], 7, "")]


async def test_a_lost_connection_ends_it_and_leaves_the_terminal_in_order(config: Path, sshd: Sshd) -> None:
    with opened(config, "web1") as terminal:
        terminal.until(b"web1: a shell", 30)
        terminal.type(b"printf '\\033[?1049h\\033[?1000h\\033[?2004hreq''uested'\n")
        terminal.until(b"requested", 30)
        sshd.kill_sessions()
        assert await terminal.ends() == 1
        assert "the connection was lost" in terminal.screen
        assert not {"?1049", "?1000", "?2004"} & terminal.modes
    [(*_, status, error)] = journal(config)
    assert status is None
    assert "the connection was lost" in error


async def test_a_terminal_that_sshd_refuses(tmp_path: Path, config: Path, sshd: Sshd) -> None:
    file = sshd.folder / "sshd_config"
    file.write_text(f"PermitTTY no\n{file.read_text()}")
    sshd.shut_down()
    sshd.start()
    with opened(config, "web1") as terminal:
        assert await terminal.ends() == 1
        assert "it was not started" in terminal.screen


async def test_on_this_machine_and_within_a_prefix(config: Path) -> None:
    with opened(config, "here") as terminal:
        terminal.until(b"here: a shell", 30)
        terminal.type(WAITS)
        terminal.until(b"ready", 30)
        terminal.type(b"\x03")
        terminal.until(b"interrupted", 30)
        terminal.type(b"echo pid $PPID secret $CONSUL_HTTP_TOKEN.\nexit 3\n")
        terminal.until(b" secret .", 30)
        assert await terminal.ends() == 3
    with opened(config, "inside") as terminal:
        terminal.until(b"inside: a shell", 30)
        terminal.type(b"echo inside: $INSIDE.\nexit\n")
        terminal.until(b"inside: yes.", 30)
        assert await terminal.ends() == 0
    assert [entry[1:3] for entry in journal(config)] == [(["inside"], 0), (["here"], 3)]


async def test_a_full_disk_does_not_prevent_it(config: Path) -> None:
    if os.geteuid() == 0:
        (config.parent / "journal.db").mkdir()  # no file can be opened there
    else:
        config.parent.chmod(0o500)
    with opened(config, "here") as terminal:
        terminal.until(b"this shell is not recorded", 30)
        terminal.type(b"exit 5\n")
        assert await terminal.ends() == 5
