"""Real Podman containers for one test, with their own storage, all of which is removed.

with podman(tmp_path) as engine:
    engine.run("web", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    ContainerService(host, ContainerSettings(name="web", engine="podman",
                                             engine_options=engine.options), {})
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE = "rolldeck-test"
APPLETS = ("sh", "sleep", "cat", "grep", "nc", "test")


def missing() -> str:
    """Why containers cannot run here, in words; empty when they can."""
    if os.geteuid() != 0:  # asked first: who is not root does not find what is in sbin
        return "CONTAINERS ARE NOT TESTED HERE: needs root"
    tools = [tool for tool in ("podman", "runc", "busybox") if shutil.which(tool) is None]
    return f"CONTAINERS ARE NOT TESTED HERE: not installed: {', '.join(tools)}" if tools else ""


@dataclass(frozen=True, slots=True)
class Podman:
    """An engine with its own storage in `folder`."""

    folder: Path
    runroot: Path  # apart, for Podman takes none of more than 50 characters

    @property
    def options(self) -> str:
        """What `ContainerSettings.engine_options` needs."""
        places = [
            f"--root={self.folder / 'storage'}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--runroot={self.runroot}",
        ]
        # vfs: an overlay cannot be mounted on another; runc, cgroupfs: there may be no systemd.
        return shlex.join([*places, "--storage-driver=vfs", "--runtime=runc", "--cgroup-manager=cgroupfs"])

    def call(self, *arguments: str) -> str:
        """Run podman itself; its standard output."""
        done = subprocess.run(
            ["podman", *shlex.split(self.options), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"podman {arguments}: {done.stderr}"
        return done.stdout

    def build(self, tag: str) -> str:
        """Make an image with a shell and little else; its name with the tag."""
        name = f"localhost/{IMAGE}:{tag}"
        self.call("import", str(build_archive(self.folder / "image.tar")), name)
        return name

    def run(self, name: str, script: str, *, tag: str = "1") -> None:
        """Create and start a container whose first process is a shell with this script."""
        self.call("run", "--detach", *self._limits(name), f"localhost/{IMAGE}:{tag}", *_sh(script))

    def create(self, name: str, *command: str, tag: str = "1") -> None:
        """Create a container without starting it."""
        self.call("create", *self._limits(name), f"localhost/{IMAGE}:{tag}", *command)

    def remove_all(self) -> None:
        self.call("rm", "--force", "--all", "--time", "0")

    def _limits(self, name: str) -> tuple[str, ...]:
        # Podman's own defaults for the limits are higher than what a container may set here.
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
        return ("--name", name, "--network=host", *limits)


def build_archive(archive: Path) -> Path:
    """The files of an image with a shell and little else, as an archive."""
    if not archive.exists():
        with tarfile.open(archive, "w") as tar:
            tar.add(str(shutil.which("busybox")), "bin/busybox")
            for applet in APPLETS:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return archive


@contextlib.contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """An engine with an image of tag 1; all its containers are gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="pod-") as runroot:
        engine = Podman(folder, Path(runroot))
        engine.build("1")
        try:
            yield engine
        finally:
            engine.remove_all()
            _await_cleanup(runroot)


def _await_cleanup(runroot: str) -> None:
    """Each container's monitor calls podman once more after its end, which makes the folders anew."""
    deadline = time.monotonic() + 60
    while any(runroot in line for line in _command_lines()):
        assert time.monotonic() < deadline, "podman is still cleaning up"
        time.sleep(0.02)


def _command_lines() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield file.read_text(errors="replace")


def _sh(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)
