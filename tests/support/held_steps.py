"""A step of a node that is held until a test releases it, so that no test has to hit a moment in time."""

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from console.demo.stack import Stack
from orchestrator.events.steps import STEPS, Step
from tests.support.rollouts import NEW, tune

Moment = Step | Literal["bake"]  # the end of `verify`, when the node is in rotation again
MOMENTS: tuple[Moment, ...] = (*STEPS, "bake")

PATIENCE = 180  # seconds that a step may be held
DOWNLOAD = 90  # seconds that a drain is held at most; a tenth of it is what the stop takes longer
BAKE = 30.0  # seconds; nothing of it is ours to hold, so it only lasts so long

INSTALL = """kind = "command"
run = "{wait}; ln -sfn releases/{{version}} current.new && mv -T current.new current"

[apps.shop.version]
kind = "symlink"
path = "current"
"""


@asynccontextmanager
async def held(stack: Stack, moment: Moment) -> AsyncIterator[Callable[[], None]]:
    """Inside, this moment of the first node's turn does not end before what is yielded is called.

    Begin no load before: round robin gives each node one of the sessions that hold a drain.
    """
    timeouts = (f"{step}_timeout" for step in ("drain", "stop", "install", "start", "verify"))
    tune(stack, "apps.shop.rollout", **dict.fromkeys(timeouts, PATIENCE))
    barrier = stack.directory / "barrier"
    barrier.touch()
    wait = f"while [ -e {barrier} ]; do sleep 0.1; done"
    sessions: list[socket.socket] = []
    match moment:
        case "drain":
            sessions += [_download(stack) for _ in stack.nodes]
        case "stop" | "start":
            tune(stack, "apps.shop.service", **{moment: f"{wait}; ./appctl {moment}"})
        case "install":
            before = 'kind = "symlink"\nreleases = "releases"\nlink = "current"\n'
            _replace(stack.config_path, before, INSTALL.format(wait=wait))
        case "verify":
            healthy = 'self._release["healthy"]'
            for node in stack.nodes.values():
                app = node.directory / "releases" / NEW / "app.py"
                _replace(app, healthy, f"{healthy} and not os.path.exists({str(barrier)!r})")
        case "bake":
            tune(stack, "apps.shop.rollout", bake_time=BAKE)

    def let_go() -> None:
        if moment == "bake":
            tune(stack, "apps.shop.rollout", bake_time=0.2)  # for whoever begins later
        barrier.unlink(missing_ok=True)
        while sessions:
            sessions.pop().close()

    try:
        yield let_go
    finally:
        let_go()


def _replace(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def _download(stack: Stack) -> socket.socket:
    """A session that is there as long as we are: its end is a reset, which HAProxy notices at once."""
    session = socket.create_connection(stack.frontends[0], timeout=10)
    session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.sendall(f"GET /download?seconds={DOWNLOAD} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    session.recv(1)
    return session
