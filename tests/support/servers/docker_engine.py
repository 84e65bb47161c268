"""A real Docker engine for a test module, with a folder of its own and without a network.

with docker() as engine:
    engine.run("web", POLITE)
    ContainerService(host, ContainerSettings(name="web", engine_options=engine.options), {})
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.containers import build_archive

IMAGE = "127.0.0.1:1/rolldeck-test"  # nobody is asked on the internet
LIMITS = ("--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
# Up to 64 MB, which is more than a limit of 8 MB and less than what harms a machine without limits.
EATS = f"x=aaaaaaaa; for n in {' '.join(map(str, range(23)))}; do x=$x$x; done; exit 1"
POLITE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def missing(*, compose: bool = False) -> str:
    """Why the engine, and perhaps compose, cannot run here, in words; empty when they can."""
    if os.geteuid() != 0:
        return "THE DOCKER ENGINE IS NOT TESTED HERE: needs root"
    needed = ["docker", "dockerd", "containerd", "busybox", *(["docker-compose"] if compose else [])]
    tools = [tool for tool in needed if shutil.which(tool) is None]
    return f"THE DOCKER ENGINE IS NOT TESTED HERE: not installed: {', '.join(tools)}" if tools else ""


@dataclass(frozen=True, slots=True)
class Docker:
    """An engine that listens on a socket in `folder`."""

    folder: Path

    @property
    def address(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"unix://{self.folder / 'docker.sock'}"

    @property
    def options(self) -> str:
        """What `ContainerSettings.engine_options` needs."""
        return shlex.join(["--host", self.address])

    def call(self, *arguments: str) -> str:
        """Run docker itself; its standard output."""
        done = subprocess.run(
            ["docker", "--host", self.address, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"docker {arguments}: {done.stderr}"
        return done.stdout

    def run(self, name: str, script: str, *options: str) -> None:
        """Create and start a container whose first process is a shell with this script."""
        self.call("run", "--detach", "--name", name, *LIMITS, *options, f"{IMAGE}:1", "sh", "-c", script)

    def limits_memory(self) -> bool:
        """Whether the kernel has that for containers."""
        return self.call("info", "--format", "{{.MemoryLimit}}").strip() == "true"

    def remove_all(self) -> None:
        if containers := self.call("ps", "--all", "--quiet").split():
            self.call("rm", "--force", *containers)


@contextlib.contextmanager
def docker() -> Iterator[Docker]:
    """An engine with an image of the tags 1 and 2; it and all its containers are gone when the block ends."""
    # A short folder: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="dock-") as place:
        folder = Path(place)
        engine = Docker(folder)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["dockerd", *_flags(folder), "--host", engine.address],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _await_answer(engine, process)
            engine.call("import", str(build_archive(folder / "image.tar")), f"{IMAGE}:1")
            engine.call("tag", f"{IMAGE}:1", f"{IMAGE}:2")
            try:
                yield engine
            finally:
                engine.remove_all()
        finally:
            process.terminate()  # it ends its containerd with it
            process.wait(30)
            _unmount(folder)


def compose(engine: Docker, *arguments: str) -> None:
    """Run docker-compose itself."""
    done = subprocess.run(
        ["docker-compose", "--host", engine.address, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"docker-compose {arguments}: {done.stderr}"


def _flags(folder: Path) -> tuple[str, ...]:
    return (
        *("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "pid"), "--group", "root"),
    )


def _unmount(folder: Path) -> None:
    """The engine leaves its network's namespace mounted, and what is mounted cannot be removed."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in reversed(mounted):
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", place], check=True)


def _await_answer(engine: Docker, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(["docker", "--host", engine.address, "version"], capture_output=True).returncode:
        assert process.poll() is None, (engine.folder / "log").read_text()[-2000:]
        assert time.monotonic() < deadline, "dockerd does not answer"
        time.sleep(0.1)
