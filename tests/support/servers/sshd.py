"""A real OpenSSH server on a free loopback port, with keys of its own, for one test.

    with running_sshd(tmp_path) as sshd:
        SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))

It also has the faults of real life: `stop` (hangs, sessions included), `kill_sessions`,
`change_host_key`.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.free_ports import free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd started as root refuses to run without it


@dataclass(slots=True)
class Sshd:
    """A running sshd and everything a client needs to get in."""

    folder: Path
    port: int
    alias: str
    extra: tuple[str, ...]
    before: tuple[str, ...] = ()
    user: str = field(default_factory=getpass.getuser)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def client_key(self) -> Path:
        return self.folder / "client_key"

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """A client configuration in which `alias` means this server."""
        return self.folder / "ssh_config"

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    def sessions(self) -> list[int]:
        """Process ids of sshd's own children, one or two per connection; not of the commands."""
        return [pid for pid in _descendants(self.pid) if _name(pid).startswith("sshd")]

    def connections(self) -> int:
        """How many there are: each is one child of sshd, which may have a child of its own (OpenSSH 10)."""
        return sum(_name(pid).startswith("sshd") for pid in _children().get(self.pid, []))

    def stop(self) -> None:
        """Freeze it with its sessions: connections are accepted by the kernel, then silence."""
        self._signal(signal.SIGSTOP, self.pid, *self.sessions())

    def cont(self) -> None:
        self._signal(signal.SIGCONT, self.pid, *self.sessions())

    def kill_sessions(self) -> None:
        """Cut all connections; the commands that run in them go on."""
        self._signal(signal.SIGKILL, *self.sessions())

    def change_host_key(self) -> None:
        """Come back with another host key, as a reinstalled machine does."""
        self.shut_down()
        _generate_key(self.host_key)
        self.start()

    def start(self) -> None:
        """Start it (again) on its port and wait until it greets."""
        assert SSHD, "no sshd on this machine"
        log = self.folder / "sshd.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.before, SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        _wait_for_greeting(self._process, self.port, log)

    def shut_down(self) -> None:
        """End it and all its connections; the port refuses from now on."""
        if self._process is None:
            return
        self.cont()
        self.kill_sessions()
        self._process.terminate()
        self._process.wait(10)
        self._process = None

    @staticmethod
    def _signal(number: int, *pids: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def running_sshd(
    tmp_path: Path,
    *,
    alias: str = "node",
    name: str = "sshd",
    extra: Sequence[str] = (),
    before: Sequence[str] = (),
    user: str = "",
) -> Iterator[Sshd]:
    """Run a real sshd for the current user until the block ends.

    Args:
        tmp_path: keys, configuration and log go into its folder `name`.
        alias: the `Host` in `ssh_config` that means this server.
        name: tells several servers of one test apart.
        extra: more lines for sshd_config, put first so that they win.
        before: words that are put before the command of sshd, and become it.
        user: who logs in, if it is not the current one.
    """
    folder = tmp_path / name
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    sshd = Sshd(folder, free_port(), alias, tuple(extra), tuple(before), user or getpass.getuser())
    _write_files(sshd)
    try:
        sshd.start()
        yield sshd
    finally:
        sshd.shut_down()


def _write_files(sshd: Sshd) -> None:
    folder = sshd.folder
    _generate_key(sshd.host_key)
    _generate_key(sshd.client_key)
    public = sshd.client_key.with_suffix(".pub").read_text()
    (folder / "authorized_keys").write_text(public)
    host_public = sshd.host_key.with_suffix(".pub").read_text()
    sshd.known_hosts.write_text(f"# known to the tests\n[127.0.0.1]:{sshd.port} {host_public}")
    server = (
        *sshd.extra,
        "ListenAddress 127.0.0.1",
        f"Port {sshd.port}",
        f"HostKey {sshd.host_key}",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "UseDNS no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "MaxStartups 200",
        f"SetEnv HOME={folder}",  # whoever runs the tests may have start-up files that take a while
    )
    (folder / "sshd_config").write_text("\n".join(server) + "\n")
    client = (
        f"Host {sshd.alias}",
        "  HostName 127.0.0.1",
        f"  Port {sshd.port}",
        f"  User {sshd.user}",
        f"  IdentityFile {sshd.client_key}",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {sshd.known_hosts}",
    )
    sshd.ssh_config.write_text("\n".join(client) + "\n")


def _generate_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rolldeck-tests", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def _wait_for_greeting(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as s:
            if s.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError(f"sshd did not start: {log.read_text(errors='replace')}")


def _children() -> dict[int, list[int]]:
    """Of every process that has some."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(stat[1]), []).append(int(entry.name))
    return children


def _descendants(pid: int) -> list[int]:
    children = _children()
    found: list[int] = []
    queue = [pid]
    while queue:
        queue = [child for parent in queue for child in children.get(parent, [])]
        found += queue
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
