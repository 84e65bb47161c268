"""A node of the demo, and the versions that it can run, faulty ones included.

A node is a directory with releases, a link to the current one, and a script to start and stop:
```
web1/
  releases/1.4.2/{app.py, release.json}
  releases/1.5.0/{app.py, release.json}
  current -> releases/1.4.2
  appctl  app.pid  app.log
```
"""

import asyncio
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from console.demo import app
from console.demo.watchdog import MARK

# As with monit, start and stop only request. A pid counts as running only while its working directory is the
# node's, which excludes zombies, and other processes that got a dead one's number. Status is read many times
# a second, so it starts no program.
_APPCTL = """\
#!/bin/sh
# ./appctl start|stop|status. Start and stop only request; status exits 0 (running) or 3 (stopped).
cd "${0%/*}" || exit 1
[ ! -e app.pid ] || read -r pid <app.pid
running() { [ -n "$pid" ] && [ "/proc/$pid/cwd" -ef . ]; }
case "$1" in
start)
    running && exit 0
    app=$(readlink -f current)/app.py
    setsid "$PYTHON" -S -E "$app" "$NODE" "$PORT" </dev/null >>app.log 2>&1 &
    echo $! >app.pid ;;
stop)
    running || exit 0
    kill -TERM "$pid" ;;
status)
    running && echo "running, pid $pid" && exit 0
    echo stopped
    exit 3 ;;
*)
    echo "usage: appctl start|stop|status" >&2
    exit 64 ;;
esac
"""


QUICK_S = 0.002  # seconds that a good version takes to answer `/`


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A version and what is wrong with it, as in its ``release.json``. Times are seconds."""

    version: str
    start_delay: float = 0.3  # the port is closed that long
    healthy: bool = True  # False: /health always answers 503
    exit_after: float | None = None  # dies with status 1 that long after its port opened
    ignore_sigterm: bool = False
    reports_version: str | None = None  # what /version says instead of the truth
    answer_s: float = QUICK_S  # seconds that an answer to `/` takes
    workers: int | None = None  # how many of these answers are worked on at once; the others wait
    error_every: int | None = None  # every so many requests for `/` and `/slow`, one is answered with 500
    exit_at_request: int | None = None  # dies with status 1 at this request, counted in the same way
    error_share: float = 0.0  # 0 to 1: part of these requests that fails
    error_run: float = 1.0  # mean length of runs of failures; 1: they are independent
    error_kind: Literal["500", "reset", "silence"] = "500"  # reset: of the connection; silence: no answer
    seed: int = 0  # another one gives other failures; each node has its own
    incident_file: str = ""  # while it exists, the share of requests in it fails with 503: a dead database


@dataclass(frozen=True, slots=True)
class Node:
    """A node's directory and addresses."""

    name: str
    address: str
    port: int  # of the application
    ssh_port: int
    directory: Path
    environment: Mapping[str, str]  # of its commands

    def lay_out(self) -> None:
        """Create the directory with its script."""
        (self.directory / "releases").mkdir(parents=True)
        settings = {
            MARK: self.environment[MARK],  # also when the script is not run by the stack
            "PYTHON": sys.executable,
            "NODE": self.name,
            "PORT": str(self.port),
        }
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in settings.items())
        script = self.directory / "appctl"
        first, rest = _APPCTL.split("\n", 1)
        script.write_text(f"{first}\n{exports}{rest}")
        script.chmod(0o755)

    def add_release(self, release: Release) -> None:
        """Put a release beside the others; a release of the same version is replaced."""
        directory = self.directory / "releases" / release.version
        directory.mkdir(exist_ok=True)
        shutil.copy(app.__file__, directory / "app.py")
        (directory / "release.json").write_bytes(msgspec.json.encode(release))

    def activate(self, version: str) -> None:
        """Point `current` to a version, in one step as `ln -sfn` with `mv -T` does."""
        new = self.directory / "current.new"
        new.unlink(missing_ok=True)
        new.symlink_to(Path("releases") / version)
        new.replace(self.directory / "current")

    @property
    def installed(self) -> str:
        """The version on disk."""
        return (self.directory / "current").readlink().name

    @property
    def pid(self) -> int | None:
        """The application's process while it runs; None for zombies and reused numbers."""
        try:
            pid = int((self.directory / "app.pid").read_text())
            return pid if Path(f"/proc/{pid}/cwd").readlink() == self.directory else None
        except (OSError, ValueError):
            return None

    async def appctl(self, action: str) -> int:
        """Run ``./appctl ACTION`` without SSH and return its exit status."""
        process = await asyncio.create_subprocess_exec(
            "./appctl",
            action,
            cwd=self.directory,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()


@dataclass(frozen=True, slots=True)
class FaultyVersion:
    """A release that every node of the demo has on disk.

    Attributes:
        version: its name, which says what is wrong with it.
        problem: what is wrong with it, for the help.
        fields: of `console.demo.node.Release`.
        shown_by_next: the upgrade to it is healthy; the one after it meets the fault.
    """

    version: str
    problem: str
    fields: Mapping[str, object] = field(default_factory=dict)
    shown_by_next: bool = False


FAULTY = (
    FaultyVersion("1.6.0-unhealthy", "fails its health check", {"healthy": False}),
    FaultyVersion("1.6.0-crash", "dies under traffic, at its tenth request", {"exit_at_request": 10}),
    FaultyVersion("1.6.0-errors", "answers 20 % of all requests with 500", {"error_every": 5}),
    FaultyVersion("1.6.0-slow", "answers 60 times slower", {"answer_s": 60 * QUICK_S}),
    FaultyVersion("1.6.0-wrong-version", "reports version 1.5.0", {"reports_version": "1.5.0"}),
    FaultyVersion("1.6.0-hanging-stop", "never stops", {"ignore_sigterm": True}, shown_by_next=True),
)


def format_faulty_versions() -> str:
    """Return a line for each faulty version, for a help text."""
    width = max(len(faulty.version) for faulty in FAULTY)
    return "\n".join(f"  {faulty.version:<{width}}  {faulty.problem}" for faulty in FAULTY)
