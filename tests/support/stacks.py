"""The demo's stack with other numbers than the demo's, and what only tests ask of it."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from console.demo.connection import Closed, Connection, Malformed
from console.demo.haproxy import HAProxy
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

    def _configure(self, instance: HAProxy) -> None:
        super()._configure(instance)
        instance.executable = self._haproxy
        further = "".join(f"    {line}\n" for line in self._backend_lines)
        text = instance.file.read_text()
        instance.file.write_text(text.replace("    server ", f"{further}    server ", 1))


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
