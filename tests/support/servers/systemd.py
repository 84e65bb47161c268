"""A real systemd as the first process of its own namespaces, on a machine that may have none.

    with running_systemd(tmp_path) as systemd:
        systemd.write_unit("shop.service", "[Service]\\nExecStart=/usr/bin/sleep 1000\\n")
        SystemdService(LocalHost("web1", prefix=systemd.prefix), SystemdSettings(name="shop"), {})

Its root is an overlay of this machine's, in memory and gone at the end; the network is this machine's.
`/tmp` and `/run` are its own, but for the folder that it is given: that is the same inside.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

INIT = Path("/lib/systemd/systemd")
needs_systemd = pytest.mark.skipif(
    os.geteuid() != 0 or not INIT.exists(), reason="a systemd of its own needs root and the package systemd"
)

# What a process executes that systemd-oomd ends for lack of memory: it counts that at the group, and kills.
# A limit of the kernel itself would need the memory controller, which an older hierarchy may have.
ENDED_BY_OOMD = """\
import os, signal, time
group = next(line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::"))
for name in ("user.oomd_ooms", "user.oomd_kill"):
    os.setxattr("/sys/fs/cgroup" + group, name, str(time.time_ns()).encode())
os.kill(os.getpid(), signal.SIGKILL)
"""

# Its groups of processes are in one of their own, which is removed at the end: several can run side by side.
OUTER = """
set -eu
mount --make-rprivate /
mkdir "$1/groups" "$1/upper" "$1/root"
mount -t cgroup2 cgroup2 "$1/groups"
group="$1/groups/rolldeck-test-$$"
mkdir "$group"
echo $$ >"$group/cgroup.procs"
unshare --pid --mount --uts --ipc --cgroup --fork --kill-child sh "$1/inner" "$1" "$2" || true
echo $$ >"$1/groups/cgroup.procs"
find "$group" -depth -type d -exec rmdir {} +
"""

INNER = """
set -eu
read -r pid _ </proc/self/stat
mount --make-rprivate /
mount -t tmpfs tmpfs "$1/upper"
mkdir "$1/upper/u" "$1/upper/w"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper/u,workdir=$1/upper/w" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --make-rslave sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs tmpfs $folder; done
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
touch dev/console
mkdir dev/shm dev/pts
mount -t devpts devpts dev/pts -o newinstance
mkdir -p ".$2"
mount --bind "$2" ".$2"
rm -rf etc/systemd/system etc/machine-id
mkdir -p etc/systemd/system
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
echo "$pid" >"$1/pid"
exec chroot . env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=false
"""


@dataclass(slots=True)
class Systemd:
    """One that has booted.

    Attributes:
        pid: of its first process, as this machine counts.
    """

    pid: int

    @property
    def prefix(self) -> str:
        """What a host's `prefix` needs for commands to run inside."""
        return f"nsenter --target {self.pid} --mount --pid --uts --ipc --root --wd --"

    def run(self, *command: str, text: str = "") -> str:
        """Run a command inside and return what it wrote. Raises CalledProcessError."""
        words = [*shlex.split(self.prefix), *command]
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def write_unit(self, name: str, text: str) -> None:
        """Write a unit file, which systemd reads at the next `daemon-reload`."""
        self.run("sh", "-c", 'cat >"/etc/systemd/system/$1"', "sh", name, text=text)

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", *arguments)


@contextlib.contextmanager
def running_systemd(folder: Path, shared: Path | None = None) -> Iterator[Systemd]:
    """Boot one, and end it and all that it has started when the block ends.

    Args:
        folder: for its own files; it must exist.
        shared: is the same inside; `folder` when it is not given.
    """
    own = folder / "systemd"
    own.mkdir()
    (own / "inner").write_text(INNER)
    with (own / "log").open("wb") as log:
        outer = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", OUTER, "sh", str(own), str(shared or folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield _booted(own, outer)
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((own / "pid").read_text()), signal.SIGKILL)  # and with it all in its namespace
        try:
            outer.wait(10)
        except subprocess.TimeoutExpired:
            outer.kill()
            outer.wait()


def _booted(own: Path, outer: subprocess.Popen[bytes]) -> Systemd:
    deadline = time.monotonic() + 60
    while True:
        if outer.poll() is not None:
            said = (own / "log").read_text()
            assert not (own / "pid").exists(), said
            pytest.skip(f"no namespaces and mounts of its own here: {said.strip()}")
        assert time.monotonic() < deadline, (own / "log").read_text()
        with contextlib.suppress(OSError, ValueError, subprocess.CalledProcessError):
            systemd = Systemd(int((own / "pid").read_text()))
            systemd.systemctl("is-active", "basic.target")
            return systemd
        time.sleep(0.1)
