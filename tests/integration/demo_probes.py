"""Probes with which tests examine the demo's stack from outside."""

import asyncio
from typing import Any

import asyncssh

from console.demo.stack import Stack


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def ssh(stack: Stack, host: str, **options: Any) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        host,
        config=[str(stack.directory / "ssh_config")],
        known_hosts=str(stack.directory / "known_hosts"),
        agent_path=None,
        **options,
    )
