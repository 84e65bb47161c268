"""Nodes of the demo's world as containers on the same ports, of either engine, out of busybox alone."""

import io
import json
import shutil
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from console.demo.stack import Stack
from tests.support.rollouts import Run, until_up, world

LIMITS = ("--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
# As the container's first process it would not hear SIGTERM; drained, it may end by SIGKILL.
STOP_SIGNAL = "KILL"

_SLOW = """\
#!/bin/busybox sh
/bin/busybox sleep 2
printf 'Content-Length: 4\\r\\n\\r\\nslow'
"""
_SLOW_PATH = "http-request set-path /cgi-bin/slow if { path /slow }"
_PAGES = {"index.html": "hello", "health": '{"status": "UP"}'}
_VERBS = ("stop", "rename", "create", "rm", "start", "up")
_HEALTH = """\
[apps.shop.health]
kind = "http"
url = "http://{address}:{port}/health"
json = { status = "UP" }
version_url = "http://{address}:{port}/version"
successes = 2
interval = 0.05

"""


@asynccontextmanager
async def container_world(place: Path, nodes: int = 2) -> AsyncIterator[Stack]:
    """A stack whose HAProxy asks for the slow page where the image's web server has it."""
    async with world(place, nodes=nodes, instances=1, backend_lines=[_SLOW_PATH]) as stack:
        yield stack


def image_archive(file: Path, version: str) -> Path:
    """A web server of a megabyte that knows its version, and has a page that takes two seconds."""
    with tarfile.open(file, "w") as tar:
        tar.add(str(shutil.which("busybox")), "bin/busybox")
        shell = tarfile.TarInfo("bin/sh")  # of health checks
        shell.type, shell.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(shell)
        for name, content in {**_PAGES, "version": version, "cgi-bin/slow": _SLOW}.items():
            entry = tarfile.TarInfo(f"www/{name}")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content.encode()))
    return file


def server(port: str) -> str:
    """The command of the image's web server."""
    return f"/bin/busybox httpd -f -p 127.0.0.1:{port} -h /www"


def creation(name: str, image: str, port: str) -> str:
    """What follows the engine, for one container."""
    return f"create --name {name} --stop-signal={STOP_SIGNAL} {' '.join(LIMITS)} {image} {server(port)}"


def service_section(engine: str, options: str, name: str = "shop-{node}") -> str:
    """Of the configuration, for containers."""
    rows = {"kind": "container", "name": name, "engine": engine, "engine_options": options}
    return section("service", rows)


def install_section(engine: str, options: str, image: str) -> str:
    """Of the configuration, for containers that are created by the engine itself."""
    rows: dict[str, object] = {
        "kind": "container",
        "name": "shop-{node}",
        "image": image,
        "engine": engine,
        "engine_options": options,
        "pull": False,
        "create": f"{engine} {options} " + creation("{name}", "{image}:{version}", "{port}"),
    }
    return section("install", rows)


def section(name: str, rows: object) -> str:
    """One table of the application, from a mapping of strings, numbers and booleans."""
    assert isinstance(rows, dict)
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in rows.items())
    return f"[apps.shop.{name}]\n{lines}\n"


async def configure(stack: Stack, *sections: str) -> None:
    """Put these sections in the place of the stack's own, and wait for what stands on its ports now."""
    text = stack.config_path.read_text().replace('transport = "ssh"', 'transport = "local"')
    head, _, rest = text.partition("[apps.shop.service]\n")
    rollout = rest[rest.index("[apps.shop.rollout]\n") :]
    stack.config_path.write_text(head + "".join(sections) + _HEALTH + rollout)
    await until_up(stack, "shop")


def verbs(run: Run, engine: str) -> list[str]:
    """What the engine, or its compose, was asked to do, in order."""
    commands = [command.split() for _, command in run.sent if engine in command]
    found = [next((word for word in words if word in _VERBS), "") for words in commands]
    return [verb for verb in found if verb]
