"""The demo's stack with other sizes and settings, and functions that only tests need."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from console.demo.connection import Closed, Connection, Malformed
from console.demo.haproxy import HAProxy
from console.demo.node import Node
from console.demo.stack import Stack, Transport


class TunedStack(Stack):
    """A stack of a test."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = Stack.node_count,
        instances: int = Stack.instance_count,
        transport: Transport = "unix",
        haproxy: str = "haproxy",
        backend_lines: Sequence[str] = (),
        further_backends: Sequence[str] = (),
        **attributes: Any,
    ) -> None:
        """Plan the world; see `Stack`.

        Args:
            directory: see `Stack`.
            nodes: see `Stack.node_count`.
            instances: see `Stack.instance_count`.
            transport: see `Stack`.
            haproxy: the executable.
            backend_lines: further lines of the first backend in haproxy.cfg, such as ``cookie SRV insert``.
            further_backends: names of more backends with the same servers.
            **attributes: other values for class attributes of `Stack`, such as ``start_delay=0.0``.
        """
        super().__init__(directory, transport=transport)
        self.node_count, self.instance_count = nodes, instances
        self.backends = (*self.backends, *further_backends)
        for name, value in attributes.items():
            getattr(Stack, name)  # it is one
            setattr(self, name, value)
        self._haproxy = haproxy
        self._backend_lines = backend_lines

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)
        for instance in self.instances.values():
            for process in _replaced.pop(instance.socket, ()):
                await process.wait()  # the watchdog has killed it
        end_rollouts(self.config_path)

    def _configure(self, instance: HAProxy) -> None:
        super()._configure(instance)
        instance.executable = self._haproxy
        further = "".join(f"    {line}\n" for line in self._backend_lines)
        text = instance.file.read_text()
        instance.file.write_text(text.replace("    server ", f"{further}    server ", 1))


def end_rollouts(config_path: Path) -> None:
    """Kill what consoles have started with this configuration: after a failed test it would wait for ever."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"run-rollout" in words and os.fsencode(config_path) in words:
                os.kill(int(process.name), signal.SIGKILL)


KILL_TIMEOUT_S = 5.0  # for a killed process to be gone

_replaced: dict[Path, list[asyncio.subprocess.Process]] = {}
"""Workers that a reload has replaced, by the socket of their HAProxy; they end with their last connection."""


def kill_application(node: Node) -> None:
    """End a node's application by SIGKILL, and return once it is gone: a start would find it running."""
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while (pid := node.pid) is not None and time.monotonic() < deadline:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


async def reload_haproxy(instance: HAProxy) -> None:
    """Hand the ports over to a new worker, as a reload does: no connection is refused.

    States set at run time are lost (no state file is configured).
    """
    if instance.process is not None:
        _replaced.setdefault(instance.socket, []).append(instance.process)
    await instance.start("-x", str(instance.socket), "-sf", str(instance.pid))


async def restart_haproxy(instance: HAProxy) -> None:
    """End all workers with SIGTERM, which cuts what is in flight, and start one: run-time states are lost."""
    for process in (*_replaced.pop(instance.socket, ()), *filter(None, [instance.process])):
        if process.returncode is None:
            process.terminate()
            await process.wait()
    await instance.start()


async def running_version(stack: Stack, node: str) -> str | None:
    """What the application itself answers now; None when it does not."""
    try:
        async with asyncio.timeout(2):
            connection = await Connection.open("127.0.0.1", stack.nodes[node].port)
            response = await connection.get("/version", keep_alive=False)
    except (OSError, Closed, Malformed):
        return None
    version: str = json.loads(response.body)["version"]
    return version
