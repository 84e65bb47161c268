"""How commands are put together and output is taken in, without running anything."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.command import Command
from backends.errors import Unreachable
from backends.hosts.command_host import CommandHost
from backends.hosts.local import LocalHost
from backends.hosts.output import TRACKER, Capture
from backends.hosts.ssh_connect import dial
from backends.hosts.ssh_settings import Hop, SshSettings
from backends.output_stream import Pipes
from backends.shell import Shell


class Unsent(CommandHost):
    """Keeps what would be run."""

    sent: tuple[str, ...] = ()

    async def _execute(self, argv: Sequence[str], capture: Capture, timeout: float) -> None:
        self.sent = tuple(argv)
        capture.exited(0)

    def open_shell(self, term: str, columns: int, rows: int) -> AbstractAsyncContextManager[Shell]:
        raise NotImplementedError

    def _open_pipes(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Pipes]:
        self.sent = tuple(argv)
        raise NotImplementedError


@pytest.mark.parametrize(
    ("sudo", "prefix", "line"),
    [
        (False, "", "monit stop 'my app'"),
        (True, "", "sudo -n -- monit stop 'my app'"),
        (False, "docker exec -i app1", "docker exec -i app1 monit stop 'my app'"),
        (True, "podman exec 'a b'", "sudo -n -- podman exec 'a b' monit stop 'my app'"),
    ],
)
def test_sudo_comes_first_then_the_prefix(sudo: bool, prefix: str, line: str) -> None:
    host = LocalHost("web1", sudo=sudo, prefix=prefix)
    assert host.render(Command(("monit", "stop", "my app"))) == line


def test_a_prefix_with_an_open_quote_is_refused() -> None:
    with pytest.raises(ValueError, match="No closing quotation"):
        LocalHost("web1", prefix="docker 'exec")


async def test_the_tracker_goes_inside_so_that_the_pid_is_the_containers() -> None:
    host = Unsent("web1", sudo=True, prefix="docker exec -i app1")
    result = await host.run(Command(("apt-get", "install")), track=True)
    assert host.sent == (
        *("sudo", "-n", "--", "docker", "exec", "-i", "app1"),
        *TRACKER,
        *("apt-get", "install"),
    )
    assert result.command == "sudo -n -- docker exec -i app1 apt-get install"


async def test_whether_a_process_lives_is_asked_where_commands_run() -> None:
    host = Unsent("web1", prefix="docker exec -i app1")
    with pytest.raises(Exception, match="whether process 42 lives"):
        await host.alive(42)
    assert host.sent[:4] == ("docker", "exec", "-i", "app1")
    assert host.sent[-3:] == ("sh", "42", "0")


@given(st.binary(max_size=300), st.integers(0, 100), st.lists(st.integers(1, 40), max_size=20))
def test_output_is_kept_up_to_the_limit_however_it_is_cut(data: bytes, limit: int, cuts: list[int]) -> None:
    capture = Capture(limit)
    rest = data
    for cut in [*cuts, len(data)]:
        capture.feed(rest[:cut])
        rest = rest[cut:]
    assert capture.stdout == data[:limit].decode(errors="replace")
    assert capture.truncated is (len(data) > limit)
    assert capture.stderr == ""


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_pid_is_found_after_a_greeting_and_taken_out(size: int) -> None:
    capture = Capture(1000, track=True)
    data = b"Welcome!\nrolldeck-pid=4711 99\nout\nrolldeck-pid=1 2\n"
    for start in range(0, len(data), size):
        capture.feed(data[start : start + size])
    assert (capture.pid, capture.started) == (4711, 99)
    assert capture.stdout == "Welcome!\nout\nrolldeck-pid=1 2\n"


def test_what_an_untracked_command_prints_is_left_alone() -> None:
    capture = Capture(1000)
    capture.feed(b"rolldeck-pid=4711 \n")
    assert (capture.pid, capture.stdout) == (None, "rolldeck-pid=4711 \n")


async def test_output_that_comes_after_the_exit_is_still_taken() -> None:
    capture = Capture(1000)
    capture.exited(0)
    finished = asyncio.create_task(capture.finished())
    await asyncio.sleep(0)
    capture.feed(b"late")
    capture.end_closed()
    await finished
    assert capture.stdout == "late"


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("bastion", Hop("bastion")),
        ("me@bastion:2222", Hop("bastion", "me", 2222)),
        ("ssh://me@bastion:2222", Hop("bastion", "me", 2222)),
        ("fe80::1", Hop("fe80::1")),
        ("me@[fe80::1]:2222", Hop("fe80::1", "me", 2222)),
        ("user@realm@bastion", Hop("bastion", "user@realm")),
        ("", Hop("")),
    ],
)
def test_jumps_are_read_as_ssh_reads_them(text: str, hop: Hop) -> None:
    assert Hop.parse(text) == hop


def test_ssh_is_not_imported_before_it_is_needed() -> None:
    script = "import sys, backends.hosts.ssh, backends.hosts.local; print('asyncssh' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_ssh_is_imported_without_a_compiler() -> None:
    """Which asyncssh would start for libraries that are not in the linker's cache."""
    script = (
        "import sys; programs = []\n"
        "sys.addaudithook(lambda name, given: name == 'subprocess.Popen' and programs.append(given[0]))\n"
        "from backends.hosts import known_hosts, ssh_channels, ssh_connect, ssh_route\n"
        "print({program for program in programs} - {'/sbin/ldconfig'})"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


def test_http_is_imported_without_its_command_line() -> None:
    script = (
        "import sys, backends.http_common, httpx\n"
        "print(*({'rich', 'pygments', 'click'} & sys.modules.keys()), 'end')"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "end\n"


@pytest.mark.parametrize(
    ("settings", "text", "words"),
    [
        ({"config": "~no-such-user/config"}, "", "port 1: "),
        ({"known_hosts": "~no-such-user/known_hosts"}, "", "port 1: "),
        ({"identity": "~no-such-user/key"}, "", "cannot be used: found the identity '~no-such-user/key'"),
        ({}, "IdentityFile ~no-such-user/key\n", "port 1: "),
        ({}, "UserKnownHostsFile ~no-such-user/known_hosts\n", "port 1: "),
        ({}, "RevokedHostKeys ~no-such-user/revoked\n", "~no-such-user/revoked"),
        ({}, "Include ~no-such-user/config\n", "the ssh configuration of 127.0.0.1 cannot be used: "),
    ],
)
async def test_a_file_in_the_home_of_nobody_is_no_defect(
    tmp_path: Path, settings: dict[str, str], text: str, words: str
) -> None:
    """As far as ssh does without such a file, so does this; nothing listens on port 1."""
    config = tmp_path / "config"
    config.write_text(text)
    with pytest.raises(Unreachable, match=words):
        await dial(
            "web1", "127.0.0.1", msgspec.convert({"config": str(config), "port": 1} | settings, SshSettings)
        )
