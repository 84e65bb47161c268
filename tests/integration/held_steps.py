"""A step of an upgrade that lasts until a test lets it go on: no test has to hit it in time."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from console.demo.stack import Stack
from orchestrator.events import Step
from tests.integration.rollouts import tune

PATIENCE = 60  # seconds that a step may be held
BAKE = 6.0  # seconds; nothing else of the verify step is ours to hold, so it only lasts so long

INSTALL = """kind = "command"
run = "{wait}; ln -sfn releases/{{version}} current.new && mv -T current.new current"

[apps.shop.version]
kind = "symlink"
path = "current"
"""


@asynccontextmanager
async def held(stack: Stack, step: Step) -> AsyncIterator[Callable[[], None]]:
    """Inside, this step of the first node does not end before what is yielded is called.

    Begin no load before: round robin gives each node one of the sessions that hold a drain.
    """
    timeouts = (f"{each}_timeout" for each in ("drain", "stop", "install", "start", "verify"))
    tune(stack, "apps.shop.rollout", **dict.fromkeys(timeouts, PATIENCE))
    barrier = stack.directory / "barrier"
    barrier.touch()
    wait = f"while [ -e {barrier} ]; do sleep 0.1; done"
    sessions: list[socket.socket] = []
    match step:
        case "drain":
            sessions += [_download(stack) for _ in stack.nodes]
        case "stop" | "start":
            tune(stack, "apps.shop.service", **{step: f"{wait}; ./appctl {step}"})
        case "install":
            before = 'kind = "symlink"\nreleases = "releases"\nlink = "current"\n'
            text = stack.config_path.read_text()
            assert before in text
            stack.config_path.write_text(text.replace(before, INSTALL.format(wait=wait)))
        case "verify":
            tune(stack, "apps.shop.rollout", bake=BAKE)

    def let_go() -> None:
        barrier.unlink(missing_ok=True)
        while sessions:
            sessions.pop().close()

    try:
        yield let_go
    finally:
        let_go()


def _download(stack: Stack) -> socket.socket:
    """A session that is there as long as we are. A piece comes every two seconds."""
    session = socket.create_connection(stack.frontends[0], timeout=10)
    session.sendall(b"GET /download?seconds=20 HTTP/1.1\r\nHost: x\r\n\r\n")
    session.recv(1)
    return session
