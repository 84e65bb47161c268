"""What goes to which stream: color only where somebody looks, and nothing that controls a terminal."""

import asyncio
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console_values import harmless, write
from tests.support.servers.haproxy import haproxy_binaries
from tests.support.servers.scripted_haproxy import Reply, scripted_haproxy
from tests.unit.console_shell import APP, CONFIG, ROLLDECK, Shell, running_shell


@pytest.fixture(scope="module", params=haproxy_binaries()[-1:])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with running_shell(tmp_path_factory.mktemp("cli"), request.param) as made:
        yield made


def test_standard_input_that_is_closed_is_no_terminal(shell: Shell) -> None:
    for arguments in ("upgrade shop 1.0", "drain shop web1"):
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {arguments} <&-', "sh", *ROLLDECK],
            cwd=shell.folder,
            env=shell.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no terminal to ask on" in done.stderr


def on_a_terminal(shell: Shell, **environment: str) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*ROLLDECK, "status", "shop"],
        cwd=shell.folder,
        env=shell.environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # EIO: the other side has gone
        pass
    finally:
        os.close(ours)
        process.wait(60)
    return shown.decode()


def test_color_on_a_terminal_unless_it_is_not_wanted(shell: Shell) -> None:
    colored, plain = on_a_terminal(shell, NO_COLOR=""), on_a_terminal(shell, NO_COLOR="1")
    assert "\x1b[32mlb1 ●\x1b[0m" in colored
    assert "\x1b" not in plain
    assert "lb1 ●" in plain


@pytest.mark.parametrize("command", ["--help", "status", "status --json", "check gone"])
def test_a_reader_that_has_gone_changes_neither_exit_code_nor_errors(shell: Shell, command: str) -> None:
    expected = shell(*command.split())
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*ROLLDECK, *command.split()],
            cwd=shell.folder,
            env=shell.environment(),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    if command == "--help":  # click's own: nothing has been said
        assert (done.returncode, done.stderr) == (1, "")
    else:
        assert (done.returncode, done.stderr) == (expected.code, expected.err)


FULL = ["--help", "--version", "status", "plan shop 1.0 --json", "history", "history show 1 --json"]
FULL += ["history export 1 --output -", "init {socket} --output -", "weight shop web1 --to 1 --yes"]
FULL_TOO = ["upgrade --help", "status shop --json", "check shop", "plan shop 1.0", "history --json"]
FULL_TOO += ["history show 1", "history verify"]


@pytest.fixture(scope="module")
def changed(shell: Shell) -> Shell:
    """With something in the journal."""
    assert shell("weight", "shop", "web1", "--to", "2", "--yes").code == 0
    return shell


@pytest.mark.parametrize(
    "command", [*FULL, *(pytest.param(command, marks=pytest.mark.long) for command in FULL_TOO)]
)
def test_results_that_cannot_be_written_are_an_error(changed: Shell, command: str) -> None:
    socket = re.findall(r'socket = "(.*lb.*)"', (changed.folder / "config.toml").read_text())[0]
    arguments = [word.format(socket=socket) for word in command.split()]
    expected = changed(*arguments, SHOP_PASSWORD="secret")
    assert expected.out
    for into, words in (("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")):
        if into == "&-" and command.endswith(("--help", "--version")):
            continue  # click's own: without a stream it says nothing
        done = changed.into(into, *arguments, SHOP_PASSWORD="secret")
        assert done.code == (expected.code or 1), done
        last = f"rolldeck: standard output: {words}; what was to be written there is lost"
        assert done.err.splitlines().count(last) == 1, done.err
        assert set(done.err.splitlines()) == {*expected.err.splitlines(), last}
        assert done.out == ""


def test_without_standard_error_nothing_of_it_is_among_the_results(changed: Shell) -> None:
    done = changed.into("/dev/stdout 2>&-", "status", "--json")
    assert all(json.loads(line) for line in done.out.splitlines())
    assert done.code == changed("status", "--json").code


HOSTILE = "\x1b[31mUP\x9b2J\u202e[red]"
STAT = (
    "# pxname,svname,type,iid,sid,status,weight,scur,qcur,check_status,check_health,check_rise,check_fall,\n"
)
STATE = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_port srv_op_state srv_admin_state"
    " srv_uweight srv_iweight srv_check_state srv_agent_state\n"
)


async def test_a_hostile_haproxy_controls_no_terminal(tmp_path: Path) -> None:
    name = f"web1{HOSTILE}"
    reply = (
        f"Version: {HOSTILE}\nPid: 1\nUptime_sec: 1\nStopping: 0\n\nadmin\n\n"
        f"{STATE}2 shop 1 {name} {HOSTILE} 80 2 0 1 1 6 0\n\n"
        f"{STAT}shop,BACKEND,1,2,0,UP,1,0,0,,,,,\nshop,{name},2,2,1,{HOSTILE},1,0,0,{HOSTILE},3,2,3,\n\n"
    )
    async with scripted_haproxy(tmp_path, Reply(reply.encode())) as haproxy:
        path = write(
            tmp_path,
            CONFIG.format(socket=haproxy.socket) + APP.format(app="shop", backend="shop", haproxy="lb1"),
        )
        for arguments in (["status"], ["status", "--json"], ["plan", "shop", "1.0"], ["check", "shop"]):
            process = await asyncio.create_subprocess_exec(
                *ROLLDECK,
                "--config",
                str(path),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=Path(__file__).parents[2],
            )
            out, err = await asyncio.wait_for(process.communicate(), 60)
            lines = (out + err).decode().splitlines()
            assert process.returncode in (1, 2, 3)
            assert lines
            assert all(harmless(line) for line in lines)
