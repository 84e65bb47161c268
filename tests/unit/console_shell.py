"""`rolldeck` as a process of its own, in a folder with a configuration and a real HAProxy."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.console_values import write
from tests.support.forks import run
from tests.support.servers.haproxy import running_haproxy

ROLLDECK = (sys.executable, "-c", "from console.cli import main; main()")

SECTIONS = """
backend shop
    server web1 127.0.0.1:1
    server web2 127.0.0.1:3
backend other
    server one 127.0.0.1:2
    server two 127.0.0.1:2
"""
CONFIG = """
[haproxy.lb1]
socket = "unix://{socket}"
[haproxy.dead]
socket = "unix:///nowhere.sock"
"""
APP = """
[apps.{app}]
backends = ["{backend}"]
haproxy = ["{haproxy}"]
access = {{ transport = "local" }}
service = {{ kind = "command", start = "true", stop = "true", status = "true" }}
version = {{ kind = "command", run = "echo 1.0" }}
health = {{ kind = "http", url = "http://127.0.0.1:1/", password_env = "SHOP_PASSWORD", timeout = 1 }}
"""


def surroundings(**more: str) -> dict[str, str]:
    """An environment in which the program is found from any folder."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **more}


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs `rolldeck` in a folder with a configuration."""

    folder: Path

    def __call__(self, *arguments: str, **environment: str) -> Done:
        done = run(arguments, self.folder, self.environment(**environment))
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def environment(self, **more: str) -> dict[str, str]:
        """With a journal of its own, for all tests that share it."""
        return surroundings(XDG_STATE_HOME=str(self.folder / "state"), **more)

    def into(self, place: str, *arguments: str, **environment: str) -> Done:
        """With standard output redirected, as a shell does it."""
        command = ["/bin/sh", "-c", f'exec "$@" >{place}', "sh", *ROLLDECK, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def running_shell(folder: Path, binary: Path) -> Iterator[Shell]:
    """Two applications on one HAProxy, and one on a HAProxy that is not there."""
    running = running_haproxy(folder / "lb", binary, SECTIONS)
    with asyncio.Runner() as runner:
        haproxy = runner.run(running.__aenter__())
        try:
            places = (("shop", "shop", "lb1"), ("other", "other", "lb1"), ("gone", "shop", "dead"))
            apps = "".join(APP.format(app=app, backend=backend, haproxy=lb) for app, backend, lb in places)
            write(folder, CONFIG.format(socket=haproxy.socket) + apps)
            yield Shell(folder)
        finally:
            runner.run(running.__aexit__(None, None, None))
